"""`klio doctor`: what cannot be used is found, with its remedy; what can is not hidden by it."""

import json
import shutil
import socket
import time
from dataclasses import asdict

import pytest

from klio_dagster.store.inbox import write_batch
from klio_dagster.store.layout import LEDGER_PATH, claim_path
from klio_dagster.store.open_claim import open_claim
from klio_dagster.store.store import Store
from tests.cli.given_up import keep, store_of
from tests.services.buckets import bucket_at

FIELDS = {"subject", "where", "what", "verdict", "said", "remedy", "figures"}
POSTGRES = """
storage:
  custom:
    module: klio_dagster.ledger.postgres_storage
    class: KlioPostgresStorage
    config:
      postgres_url: postgresql+psycopg2://klio:hunter22@127.0.0.1:{port}/dagster
"""


def found(done, subject, what):
    """The findings of one kind of thing."""
    return [
        each for each in done.json["findings"] if (each["subject"], each["what"]) == (subject, what)
    ]


def counts(done):
    return {verdict: done.json[verdict] for verdict in ("ok", "warn", "fail")}


def in_bucket(project, bucket, **options):
    """Have the project store in a bucket."""
    definitions = (project.folder / "definitions.py").read_text()
    resource = f"KlioResource(store={bucket.url!r}, store_options={bucket.options | options!r})"
    project.write("definitions.py", definitions.replace('KlioResource(store="data")', resource))


def test_programs_get_each_finding_and_the_numbers(project):
    done = project.klio("doctor", "--json")

    findings = done.json["findings"]
    assert done.code == 0
    assert done.json["fail"] == 0
    assert sum(counts(done).values()) == len(findings)
    assert all(set(each) == FIELDS for each in findings)
    assert {each["verdict"] for each in findings} <= {"ok", "warn", "fail"}
    assert {each["subject"] for each in findings} == {
        "store",
        "source",
        "database",
        "engine",
        "libraries",
    }
    assert [
        each["what"] for each in findings if each["verdict"] != "ok" and not each["remedy"]
    ] == []
    assert found(done, "store", "speed")[0]["figures"]["write_ms"] > 0


def test_people_read_what_it_is_how_it_is_and_what_to_do(project):
    (project.folder / "dagster").mkdir()

    done = project.klio("doctor", DAGSTER_HOME=str(project.folder / "dagster"))

    lines = done.out.splitlines()
    assert done.code == 0
    assert lines[0] == f"store {project.folder}/data"
    assert lines[1].startswith("  ok    list, create, read, create once, overwrite, clock, delete")
    at = lines.index(
        "  warn  settings: there is no dagster.yaml in it: Dagster's defaults count,"
        " which are slow here"
    )
    assert lines[at + 1] == "        write one: docs/reference/environment.md"
    assert lines[-1].endswith(" failed")


def test_nothing_is_changed_by_it(computed_copy):
    before = computed_copy.files()
    runs = len(computed_copy.runs())

    done = computed_copy.klio("doctor", "--json")

    assert done.code == 0
    assert computed_copy.files() == before
    assert len(computed_copy.runs()) == runs


def test_not_even_the_folder_of_the_store_is_made(project):
    assert project.klio("doctor").code == 0

    assert not (project.folder / "data").exists()


def test_a_project_that_cannot_be_loaded_is_one_line(project):
    project.write("definitions.py", "import no_such_module")

    done = project.klio("doctor", "--json")

    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
    assert "no_such_module" in done.err


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("", "FlinkEngine: it needs job_server_jar or job_endpoint, and not both; set"),
        ("job_endpoint='there:1', parallelism=0", "parallelism"),
        ("job_endpoint='there:1', paralelism=8", "paralelism"),
    ],
    ids=["fields that do not fit", "a value that is wrong", "a name that is wrong"],
)
def test_an_engine_that_is_configured_wrongly_is_one_line(project, fields, said):
    text = (project.folder / "definitions.py").read_text()
    engine = f"klio_dagster.FlinkEngine(master='there:8081', {fields})"
    text = text.replace('store="data"', f'store="data", engine={engine}')
    project.write("definitions.py", f"import klio_dagster\n{text}")

    done = project.klio("doctor", "--json")

    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
    assert said in done.err


def test_an_engine_elsewhere_that_is_not_there_is_a_failure_with_its_remedy(project):
    text = (project.folder / "definitions.py").read_text()
    engine = "klio_dagster.FlinkEngine(master='127.0.0.1:1', job_endpoint='127.0.0.1:1')"
    text = text.replace('store="data"', f'store="data", engine={engine}')
    project.write("definitions.py", f"import klio_dagster\n{text}")

    done = project.klio("doctor", "--json")

    (failed,) = found(done, "engine", "service")
    assert done.code == 1
    assert failed["said"].startswith("Flink at http://127.0.0.1:1: it does not answer")
    assert failed["remedy"] == "start it, or mend master"


def test_a_dagster_yaml_that_is_wrong_is_one_line(project):
    project.klio("entities", "list")
    project.write(".klio/dagster.yaml", "no_such_setting: 1\n")

    done = project.klio("doctor")

    assert (done.code, done.out) == (2, "")
    assert "no_such_setting" in done.err


def test_a_bucket_with_wrong_keys_fails_and_shows_no_key(project, s3):
    in_bucket(project, bucket_at("s3", s3), secret_access_key="wrong-and-secret")

    done = project.klio("doctor", "--json")
    people = project.klio("doctor")

    assert (done.code, people.code) == (1, 1)
    assert found(done, "store", "list")[0]["verdict"] == "fail"
    assert "s3:ListBucket" in people.out
    assert "wrong-and-secret" not in done.out + done.err + people.out + people.err
    assert found(done, "engine", "driver")[0]["verdict"] == "ok"


def test_sources_in_another_bucket_are_looked_at_with_their_own_options(project, gcs):
    bucket = bucket_at("gs", gcs.url)
    bucket.store().put("clips/one.raw", b"sound")
    text = (project.folder / "definitions.py").read_text()
    text = text.replace("clips/{entity}.raw", f"{bucket.url}/clips/{{entity}}.raw").replace(
        'store="data"', f'store="data", source_options={{"gs://": {bucket.options!r}}}'
    )
    project.write("definitions.py", text)

    done = project.klio("doctor", "--json")

    assert done.code == 0
    assert found(done, "source", "read")[0]["where"] == f"{bucket.url}/clips"
    assert gcs.names() == [f"{bucket.url.partition('://')[2].partition('/')[2]}/clips/one.raw"]


def test_a_pattern_that_matches_no_recording_is_a_warning_wherever_they_lie(project):
    project.write("data/clips/one.wav", "sound")
    project.write("elsewhere/one.wav", "sound")
    text = (project.folder / "definitions.py").read_text()
    inside = project.klio("doctor", "--json")
    text = text.replace("clips/{entity}.raw", f"file://{project.folder}/elsewhere/{{entity}}.raw")
    project.write("definitions.py", text)
    outside = project.klio("doctor", "--json")

    for done, folder in ((inside, "data/clips"), (outside, "elsewhere")):
        (warned,) = found(done, "source", "read")
        assert (done.code, warned["verdict"]) == (0, "warn")
        assert warned["where"] == f"{project.folder}/{folder}"
        assert "matches none of the 1 file there, 'one.wav' for one" in warned["said"].replace(
            "clips/one", "one"
        )


@pytest.mark.postgres
def test_a_database_that_is_down_is_a_finding_beside_the_others(project):
    pytest.importorskip("dagster_postgres")
    project.klio("entities", "list")
    project.write(".klio/dagster.yaml", POSTGRES.format(port=1))

    done = project.klio("doctor", "--json")

    (failed,) = found(done, "database", "open")
    assert done.code == 1
    assert failed["verdict"] == "fail"
    assert "refused" in failed["said"]
    assert found(done, "store", "create")[0]["verdict"] == "ok"
    assert found(done, "engine", "worker")[0]["verdict"] == "ok"
    assert "hunter22" not in done.out + done.err


@pytest.mark.postgres
def test_a_database_that_never_answers_is_cut_off_and_hides_nothing(project):
    pytest.importorskip("dagster_postgres")
    project.klio("entities", "list")
    started = time.monotonic()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        project.write(".klio/dagster.yaml", POSTGRES.format(port=silent.getsockname()[1]))

        done = project.klio("doctor", "--json", "--timeout", "2")

    (failed,) = found(done, "database", "open")
    assert done.code == 1
    assert "no answer within 2 s" in failed["said"]
    assert "--timeout" in failed["remedy"]
    assert found(done, "store", "delete")[0]["verdict"] == "ok"
    assert time.monotonic() - started < 100


@pytest.mark.emulator
def test_a_subscription_that_is_missing_fails_once_its_sensor_is_on(streaming, pubsub_emulator):
    pubsub_emulator.start()
    topic = pubsub_emulator.new_topic(project="my-project")
    pubsub_emulator.new_subscription(topic, "uploaded", project="my-project")
    text = (streaming.folder / "streaming_definitions.py").read_text()
    text = text.replace(
        'subscription="in"', 'subscription="uploaded" if name == "uploads" else "lost"'
    )
    streaming.write("streaming_definitions.py", text)
    host = {"PUBSUB_EMULATOR_HOST": pubsub_emulator.host}

    resting = streaming.klio("doctor", "--json", **host)
    streaming.write(
        "streaming_definitions.py",
        text.replace("name=name", "name=name, default_status=dg.DefaultSensorStatus.RUNNING"),
    )
    listening = streaming.klio("doctor", "--json", **host)

    assert (resting.code, listening.code) == (0, 1)
    assert {
        each["where"].rpartition("/")[2]: each["verdict"]
        for each in found(listening, "subscription", "exists")
    } == {"lost": "fail", "uploaded": "ok"}
    (daemon,) = found(listening, "database", "works")
    assert daemon["verdict"] == "warn"
    assert "messages, uploads" in daemon["said"]


def test_a_schedule_that_is_on_waits_for_the_daemon(project):
    text = (project.folder / "definitions.py").read_text()
    nightly = """
nightly = dg.ScheduleDefinition(
    "nightly",
    target="*",
    cron_schedule="@daily",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
"""
    text = text.replace(
        "defs = dg.Definitions(", f"{nightly}\ndefs = dg.Definitions(\n    schedules=[nightly],"
    )
    project.write("definitions.py", text)

    done = project.klio("doctor", "--json")

    (daemon,) = found(done, "database", "works")
    assert (done.code, daemon["verdict"]) == (0, "warn")
    assert "1 schedule switched on wait for it (nightly)" in daemon["said"]


def test_what_a_killed_run_and_messages_left_is_counted(streaming):
    store = store_of(streaming)
    keep(streaming, "one", "two")
    write_batch(store, "renamed", [])
    opened = open_claim(store, "killed", assets=["size"])
    claim = json.loads(store.get(claim_path("killed")))
    claim["launcher"] = {**asdict(opened.claim.launcher), "pid": 2**22 + 1}
    store.put(claim_path("killed"), json.dumps(claim).encode())

    done = streaming.klio("doctor", "--json")

    (claims,), (letters,) = found(done, "store", "claims"), found(done, "store", "dead letters")
    assert (claims["verdict"], claims["figures"]) == (
        "warn",
        {"alive": 0, "dead": 1, "orphaned": 0},
    )
    assert "run killed" in claims["said"]
    assert "klio run" in claims["remedy"]
    assert letters["figures"] == {"messages": 2}
    (inbox,) = found(done, "store", "inbox")
    assert (inbox["verdict"], inbox["figures"]) == ("warn", {"batches": 1})
    assert "renamed" in inbox["said"]


def test_a_store_of_another_instance_is_found(computed_copy):
    other = computed_copy.folder / "other-home"
    other.mkdir()
    shutil.copy(computed_copy.home / "dagster.yaml", other)
    store = Store.open(str(computed_copy.folder / "data"))
    remembered = store.get(LEDGER_PATH)

    ours = computed_copy.klio("doctor", "--json")
    theirs = computed_copy.klio("doctor", "--json", DAGSTER_HOME=str(other))

    assert found(ours, "store", "ledger")[0]["verdict"] == "ok"
    assert theirs.code == 1
    assert "DAGSTER_HOME" in found(theirs, "store", "ledger")[0]["remedy"]
    assert store.get(LEDGER_PATH) == remembered
