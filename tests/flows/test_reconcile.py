"""A sensor that asks for what has become missing or stale, in one run."""

import time
from typing import Any

import dagster as dg
import pytest

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.defs import reconcile, requested
from klio_dagster.defs.decorator import source_assets
from klio_dagster.defs.reconcile import build_klio_reconcile_sensor
from klio_dagster.defs.resource import KlioResource
from klio_dagster.errors import ConfigError
from klio_dagster.store.open_claim import open_claim
from tests.flows import flow_jobs as jobs
from tests.flows.catalogue import Catalogue, Outcome, group, tracks


class Followed:
    """Ticks of a group's sensor, and the runs it requests.

    Args:
        catalogue: where.
        assets: of the code location, upstream first.
        followed: the group of the sensor.
        options: of the sensor.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *assets: dg.AssetsDefinition,
        followed: dg.AssetsDefinition | None = None,
        **options: Any,
    ) -> None:
        self.catalogue = catalogue
        self.assets = assets
        self.followed = followed or assets[-1]
        self.sensor = build_klio_reconcile_sensor(assets=self.followed, **options)
        self.cursor: str | None = None

    def evaluate(self) -> dg.SensorResult:
        """A tick as in the UI's preview: nothing of it is kept."""
        klio = KlioResource(store=str(self.catalogue.folder))
        definitions = dg.Definitions(
            assets=[*self.assets, *source_assets(*self.assets)],
            sensors=[self.sensor],
            resources={"klio": klio},
        )
        with dg.build_sensor_context(
            instance=self.catalogue.instance,
            cursor=self.cursor,
            definitions=definitions,
            resources={"klio": klio},
            sensor_name=self.sensor.name,
        ) as context:
            result = self.sensor(context)
        assert isinstance(result, dg.SensorResult)
        return result

    def tick(self) -> dg.RunRequest | str:
        """What a tick requests, or why it requests nothing."""
        result = self.evaluate()
        if result.skip_reason is not None:
            assert result.skip_reason.skip_message is not None
            return result.skip_reason.skip_message
        self.cursor = result.cursor
        (request,) = result.run_requests or ()
        return request

    def requested(self) -> list[str]:
        """The entities a tick requests."""
        request = self.tick()
        assert isinstance(request, dg.RunRequest), request
        return entities_of(request)

    def follow(self) -> Outcome:
        """A tick, and the run it requests."""
        request = self.tick()
        assert isinstance(request, dg.RunRequest), request
        ((name, op),) = request.run_config["ops"].items()
        assert name == self.followed.node_def.name
        keys = [key.to_user_string() for key in self.followed.keys]
        return self.catalogue.run(*self.assets, select=keys, tags=request.tags, **op["config"])


def entities_of(request: dg.RunRequest) -> list[str]:
    ((_, op),) = request.run_config["ops"].items()
    return op["config"]["entities"]


def launched(catalogue: Catalogue, request: dg.RunRequest, status: dg.DagsterRunStatus) -> str:
    """A run as the daemon makes it of a request; it does nothing."""
    job = dg.Definitions(assets=[dg.AssetSpec("x")]).resolve_implicit_global_asset_job_def()
    run = catalogue.instance.create_run_for_job(job, tags=request.tags, status=status)
    return run.run_id


def run_of(catalogue: Catalogue, run_id: str) -> dg.DagsterRun:
    run = catalogue.instance.get_run_by_id(run_id)
    assert run is not None
    return run


def test_new_and_changed_entities_are_asked_for_and_nothing_else(computed: Catalogue) -> None:
    followed = Followed(computed, tracks())
    assert followed.tick() == "2 up to date"
    computed.register("c", "d")
    computed.put("tracks/a.txt", b"another first")
    computed.put("tracks/c.txt", b"third")

    run = followed.follow()

    assert run.counts("materialized") == dict.fromkeys(("recording", "mel", "report"), 2)
    assert computed.reasons(tracks(), "a") == dict.fromkeys(
        ("recording", "mel", "report"), "up_to_date"
    )
    assert followed.tick() == "3 up to date, 1 without input"


def test_a_group_follows_another_one(catalogue: Catalogue) -> None:
    theirs = group(
        EntityAsset("recording", jobs.text, source="tracks/{entity}.txt", output=Json()),
        name="theirs",
    )
    ours = group(
        EntityAsset("mel", jobs.length, deps=[dg.AssetKey("recording")], output=Json()),
        name="ours",
    )
    upstream = Followed(catalogue, theirs, ours, followed=theirs)
    downstream = Followed(catalogue, theirs, ours)
    catalogue.register("a", "b")
    for entity in "ab":
        catalogue.put(f"tracks/{entity}.txt", b"first")

    assert downstream.tick() == "0 up to date, 2 without input"
    assert upstream.follow().counts("materialized") == {"recording": 2}
    assert downstream.follow().counts("materialized") == {"mel": 2}
    assert upstream.tick() == downstream.tick() == "2 up to date"

    catalogue.put("tracks/b.txt", b"the second")
    assert downstream.tick() == "2 up to date"
    assert upstream.follow().counts("materialized") == {"recording": 1}
    assert downstream.follow().counts("materialized") == {"mel": 1}
    assert upstream.tick() == downstream.tick() == "2 up to date"


def test_what_failed_is_asked_for_again_when_its_input_has_changed(computed: Catalogue) -> None:
    followed = Followed(computed, tracks())
    computed.register("c")
    computed.put("tracks/c.txt", b"bad")
    assert not followed.follow().success

    assert followed.tick() == "2 up to date, 1 failed before and unchanged since"

    computed.put("tracks/c.txt", b"mended")
    assert followed.follow().success
    assert followed.tick() == "3 up to date"


def test_what_failed_is_asked_for_again_when_its_code_has_changed(catalogue: Catalogue) -> None:
    def reading(deed: bytes, version: str) -> dg.AssetsDefinition:
        catalogue.put("tracks/a.txt", deed)
        return group(
            EntityAsset(
                "recording",
                jobs.misbehaves,
                source="tracks/{entity}.txt",
                output=Json(),
                code_version=version,
            )
        )

    catalogue.register("a")
    before = Followed(catalogue, reading(b"die", "1"))
    assert not before.follow().success, "its worker is killed, which leaves no receipt of its own"
    assert before.tick() == "0 up to date, 1 failed before and unchanged since"

    after = Followed(catalogue, reading(b"die", "2"))
    assert after.requested() == ["a"]

    mended = Followed(catalogue, reading(b"well", "1"))
    assert mended.requested() == ["a"]


def test_a_failure_is_over_when_its_input_is_there(computed: Catalogue) -> None:
    computed.register("c")
    assert not computed.run(tracks(), entities=["c"]).success
    followed = Followed(computed, tracks())
    assert followed.tick() == "2 up to date, 1 without input"

    computed.put("tracks/c.txt", b"third")

    assert followed.requested() == ["c"]


def test_what_was_blocked_is_asked_for_once_its_upstream_is_mended(computed: Catalogue) -> None:
    """Somebody mended and computed the recording alone."""
    computed.register("c")
    computed.put("tracks/c.txt", b"bad")
    computed.run(tracks(), entities=["c"])
    computed.put("tracks/c.txt", b"mended")
    computed.run(tracks(), entities=["c"], select=["recording"])

    run = Followed(computed, tracks()).follow()

    assert run.counts("materialized") == {"recording": 0, "mel": 1, "report": 1}


def test_changed_code_is_asked_for_when_told_so(computed: Catalogue) -> None:
    newer = tracks(factor=2)

    assert Followed(computed, newer).tick() == "2 up to date"
    followed = Followed(computed, newer, rerun_on=["input_changed", "code_changed"])
    assert followed.follow().counts("materialized") == {"recording": 0, "mel": 2, "report": 2}
    assert followed.tick() == "2 up to date"


def test_one_run_takes_no_more_than_it_may(computed: Catalogue) -> None:
    computed.register(*"cdefg")
    for entity in "cdefg":
        computed.put(f"tracks/{entity}.txt", b"more")
    followed = Followed(computed, tracks(), max_entities_per_run=3)

    assert followed.follow().counts("materialized")["mel"] == 3
    assert followed.follow().counts("materialized")["mel"] == 2
    assert followed.tick() == "7 up to date"


def test_many_entities_are_named_in_a_file(
    computed: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requested, "_MOST_INLINE", 1)
    computed.register("c", "d")
    for entity in "cd":
        computed.put(f"tracks/{entity}.txt", b"more")

    run = Followed(computed, tracks()).follow()

    assert run.counts("materialized")["mel"] == 2


def test_a_plan_is_requested_once_while_its_run_is_alive(computed: Catalogue) -> None:
    computed.register("c")
    computed.put("tracks/c.txt", b"third")
    followed = Followed(computed, tracks())
    request = followed.tick()
    assert isinstance(request, dg.RunRequest)
    starting = launched(computed, request, dg.DagsterRunStatus.STARTING)

    assert followed.tick() == f"run {starting}, requested before, has not ended"

    computed.instance.report_run_canceled(run_of(computed, starting))
    said = followed.tick()
    assert isinstance(said, str)
    assert said.startswith("2 up to date, 1 to compute; requested 1 times and not done: again in 1")


def test_a_plan_that_is_never_done_is_asked_for_less_and_less_often(
    computed: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For instance because its runs cannot start."""
    now = time.time()
    monkeypatch.setattr(reconcile.time, "time", lambda: now)
    computed.register("c")
    computed.put("tracks/c.txt", b"third")
    followed = Followed(computed, tracks())

    keys, pauses = [], []
    for _ in range(9):
        request = followed.tick()
        assert isinstance(request, dg.RunRequest)
        keys.append(request.run_key)
        asked = now
        while isinstance(followed.evaluate().skip_reason, dg.SkipReason):
            now += 60
        pauses.append(now - asked)

    assert pauses == [120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]
    assert len(set(keys)) == 9, "Dagster starts no two runs of one key"


def test_a_tick_that_was_killed_before_it_was_kept_requests_the_same_run(
    computed: Catalogue,
) -> None:
    computed.register("c", "d")
    computed.put("tracks/c.txt", b"third")
    followed = Followed(computed, tracks())
    followed.follow()
    computed.put("tracks/d.txt", b"fourth")

    (one,), (other,) = (
        followed.evaluate().run_requests or (),
        followed.evaluate().run_requests or (),
    )

    assert one.run_key == other.run_key


def test_a_run_that_was_killed_is_not_waited_for(
    computed: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is "started" for ever; the run that is requested next records what it finished."""
    computed.register("c", "d")
    computed.put("tracks/c.txt", b"third")
    followed = Followed(computed, tracks())
    request = followed.tick()
    assert isinstance(request, dg.RunRequest)
    launched(computed, request, dg.DagsterRunStatus.STARTED)
    assert "has not ended" in str(followed.tick())
    computed.put("tracks/d.txt", b"fourth")
    later = time.time() + 1000
    monkeypatch.setattr(reconcile.time, "time", lambda: later)

    assert followed.requested() == ["c", "d"]


def test_what_a_live_run_computes_is_left_to_it(computed: Catalogue) -> None:
    computed.register("c")
    computed.put("tracks/c.txt", b"third")
    followed = Followed(computed, tracks())
    claim = open_claim(computed.store, "another", assets=["recording", "mel", "report"])

    said = followed.tick()

    claim.close()

    assert said == "0 up to date, 3 in flight"
    assert followed.requested() == ["c"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"max_entities_per_run": 0}, "max_entities_per_run is 0", id="none-a-run"),
        pytest.param({"rerun_on": ["code"]}, "unknown reason 'code' in rerun_on", id="reason"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"build_klio_reconcile_sensor: {said}"):
        build_klio_reconcile_sensor(assets=tracks(), **options)
