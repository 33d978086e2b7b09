"""The engine and the libraries of its workers: what starts, what it may hold, what is compiled."""

import os
import time
from dataclasses import replace

import pytest

from klio_dagster.observe.doctor import children, engines, libraries
from klio_dagster.observe.doctor.engines import EngineInUse, engine_check, memory_of_machine
from klio_dagster.observe.doctor.examine import examine
from klio_dagster.observe.doctor.finding import About, Verdict
from klio_dagster.observe.doctor.libraries import look_at_libraries, numba_cache
from tests.flows.disks import closed_to_writers
from tests.observe.doctored import of, verdicts

LOCAL = EngineInUse(
    options={"kind": "local", "workers": 1},
    memory={"mel": 100 << 20},
    transforms=["beam_jobs.audio:normalise"],
    is_deep=False,
    within_s=120,
)
ABOUT = About("libraries", "of the workers")


def findings(engine):
    return examine([engine_check(engine)], within_s=300).findings


@pytest.fixture
def quick(monkeypatch):
    """Starts no process: what these tests are about needs none."""
    monkeypatch.setattr(engines, "child", lambda *_: "")


def test_drivers_and_workers_start_here():
    found = findings(LOCAL)

    assert verdicts(found) == dict.fromkeys(("cores", "memory", "worker", "driver"), "ok")
    assert of(found, "driver").figures["start_s"] > 0


def test_deep_a_run_of_nothing_ends_well_and_a_transform_that_is_nowhere_is_found():
    engine = replace(LOCAL, is_deep=True, transforms=[*LOCAL.transforms, "nowhere:mel"])

    found = findings(engine)

    assert of(found, "pipeline").verdict is Verdict.OK
    failed = of(found, "transforms")
    assert failed.verdict is Verdict.FAIL
    assert failed.said.startswith("1 of 2 cannot be imported: nowhere:mel")


def test_a_process_that_does_not_start_says_why(monkeypatch):
    monkeypatch.setattr(children.sys, "executable", "/nowhere/python")

    found = findings(LOCAL)

    assert verdicts(found)["worker"] == "fail"
    assert "cannot be started" in of(found, "worker").said


def test_a_process_that_fails_is_told_with_its_last_line():
    with pytest.raises(children.ChildFailedError, match="code 1: ModuleNotFoundError: No module"):
        children.child(["-c", "import no_such_module"], 60)


def test_a_process_that_takes_too_long_is_ended():
    with pytest.raises(children.ChildTooSlowError, match=r"longer than 0\.5 s"):
        children.child(["-c", "import time; time.sleep(60)"], 0.5)


def test_a_worker_that_starts_too_slowly_is_no_reason_to_install_anything():
    found = findings(replace(LOCAL, within_s=0.001))

    assert of(found, "worker").verdict is Verdict.FAIL
    assert "keeps this machine busy" in of(found, "worker").remedy


@pytest.mark.parametrize(
    ("kind", "is_deep", "started"),
    [
        pytest.param("local", False, ["worker", "driver"], id="worker and driver"),
        pytest.param("local", True, ["worker", "driver", "pipeline", "transforms"], id="deep"),
        pytest.param("prism", False, ["service"], id="a service is asked once"),
        pytest.param("prism", True, ["service", "transforms"], id="deep, with workers here"),
        pytest.param("dataflow", True, ["service"], id="deep, with workers elsewhere"),
    ],
)
def test_each_process_has_its_own_time(monkeypatch, kind, is_deep, started):
    def slow(result):
        time.sleep(0.4)
        return result

    answer = '{"what": "service", "said": "", "verdict": "ok", "remedy": "", "figures": {}}\n'
    monkeypatch.setattr(engines, "child", lambda *_: slow(answer))
    monkeypatch.setattr(engines, "probed", lambda *_: slow({}))
    monkeypatch.setattr(engines, "carry_out", lambda *_, **__: slow(None))
    monkeypatch.setattr(engines, "_BESIDES_S", 0.2)
    engine = replace(LOCAL, options={"kind": kind}, is_deep=is_deep, within_s=0.5)

    found = examine([engine_check(engine)], within_s=engine.within_s).findings

    assert [each.what for each in found if each.what not in ("cores", "memory")] == started
    assert "fail" not in verdicts(found).values()


def test_more_workers_than_cores_and_memory_are_warnings(quick, monkeypatch):
    monkeypatch.setattr(engines, "usable_cores", lambda: 2)
    monkeypatch.setattr(engines, "memory_of_machine", lambda: 4 << 30)
    engine = replace(LOCAL, options={"kind": "local", "workers": 3}, memory={"mel": 2 << 30})

    found = findings(engine)

    assert verdicts(found)["cores"] == "warn"
    assert verdicts(found)["memory"] == "warn"
    assert "3 workers of up to 2.00 GiB ('mel') in 4.00 GiB" in of(found, "memory").said


def test_a_container_has_the_memory_it_is_given(tmp_path):
    meminfo, limit = tmp_path / "meminfo", tmp_path / "max"
    meminfo.write_text("MemFree: 1 kB\nMemTotal:       8388608 kB\n")

    assert memory_of_machine(meminfo, limit) == 8 << 30
    limit.write_text("max\n")
    assert memory_of_machine(meminfo, limit) == 8 << 30
    limit.write_text(f"{2 << 30}\n")
    assert memory_of_machine(meminfo, limit) == 2 << 30
    assert memory_of_machine(tmp_path / "nothing", limit) is None


def test_wrong_options_are_a_finding():
    found = findings(replace(LOCAL, options={"kind": "local", "no_such": 1}))

    assert [each.verdict for each in found] == [Verdict.FAIL]
    assert "no_such" in found[0].said


def test_an_engine_that_nobody_knows_to_look_at_is_a_warning():
    found = findings(replace(LOCAL, options={"kind": "steam"}))

    assert [(each.where, each.verdict) for each in found] == [("steam", Verdict.WARN)]


@pytest.fixture
def package(tmp_path):
    """A folder like that of librosa, compiled before."""
    folder = tmp_path / "librosa"
    cache = folder / "util" / "__pycache__"
    cache.mkdir(parents=True)
    (cache / "utils._localmax-1035.py311.nbi").touch()
    return folder


def test_what_is_compiled_before_is_fine(package, tmp_path):
    found = numba_cache(ABOUT, package, {"XDG_CACHE_HOME": str(tmp_path)})

    assert (found.verdict, found.figures["compiled"]) == (Verdict.OK, 1)


def test_a_cold_cache_is_a_warning_that_says_how_to_fill_it(package, tmp_path, monkeypatch):
    monkeypatch.setattr(libraries, "probed", lambda *_: pytest.fail("it would fill the cache"))
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "empty")}

    (found,) = look_at_libraries(environment, 60, package)

    assert found.verdict is Verdict.WARN
    assert "20 s" in found.said
    assert "librosa.feature.mfcc" in found.remedy
    assert not (tmp_path / "empty").exists()


def test_a_cache_that_may_not_be_written_is_none(package, tmp_path):
    (tmp_path / "home").mkdir()
    with closed_to_writers(tmp_path):
        found = numba_cache(ABOUT, package, {"XDG_CACHE_HOME": str(tmp_path / "home")})

    assert found.verdict is Verdict.FAIL
    assert "NUMBA_CACHE_DIR" in found.remedy


def test_the_users_own_cache_counts_where_the_package_is_closed(package, tmp_path):
    own = tmp_path / "home" / "numba"
    own.mkdir(parents=True)
    with closed_to_writers(package):
        found = numba_cache(ABOUT, package, {"XDG_CACHE_HOME": str(tmp_path / "home")})

    assert found.verdict is Verdict.WARN
    assert found.figures["folder"] == str(own)


def test_the_libraries_that_are_installed_here_are_fine():
    found = list(look_at_libraries(os.environ, 120))

    assert verdicts(found) == dict.fromkeys(("numba cache", "import", "formats"), "ok")


def test_a_library_that_is_broken_and_a_format_that_lacks_are_failures(package, monkeypatch):
    said = {
        "librosa": {"error": "ImportError: no lapack"},
        "soundfile": {"import_s": 11.0, "missing": ["MP3"], "libsndfile": "1.0.28"},
    }
    monkeypatch.setattr(libraries, "probed", lambda *_: said)

    found = list(look_at_libraries({}, 60, package))

    assert of(found, "librosa").said == "ImportError: no lapack"
    assert of(found, "formats").said == "libsndfile 1.0.28 knows no MP3"
    assert verdicts(found)["import"] == "warn"
