"""Ids come from outside: bad ones are refused one by one, odd ones stay where they belong."""

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from tests.flows import flow_jobs as jobs
from tests.flows.catalogue import Catalogue, group

ODD = ["../../escaped", "/etc/passwd", "a/b", "A", "a", "..", "com1", "spaß mit \u266b", "x\u2028y"]
REFUSED = {
    "nul\0inside": "it contains a control character",
    "a...b": "it contains '...', which Dagster reads as a range of partitions",
    "x" * 300: "it has 300 bytes of UTF-8, more than 256",
    "   ": "it is only white space",
    "": "it is empty",
    "half a pair \ud800": "it is not valid Unicode (a lone surrogate)",
}


def test_bad_ids_are_refused_one_by_one_and_all_others_are_done(catalogue: Catalogue) -> None:
    made = group(EntityAsset("named", jobs.named, output=Json()))
    catalogue.register(*ODD)

    run = catalogue.run(made, entities=[*REFUSED, *ODD])

    assert not run.success
    assert run.failures == {(e, None): f"invalid_id: {why}" for e, why in REFUSED.items()}
    assert run.counts("materialized") == {"named": len(ODD)}
    assert run.counts("failed") == {"named": len(REFUSED)}
    assert catalogue.materialized("named") == set(ODD)
    assert run.error.startswith(r"6 failed, 0 blocked by them: 'nul\x00inside': invalid_id: ")


def test_no_id_makes_us_write_outside_the_store(catalogue: Catalogue) -> None:
    made = group(EntityAsset("named", jobs.named, output=Json()))
    catalogue.register(*ODD)
    above = catalogue.folder.parent

    assert catalogue.run(made, entities="all").success

    assert {path.name for path in above.iterdir()} == {"home", "store"}
    assert {path.name for path in catalogue.folder.iterdir()} == {"_klio", "named"}
    stored = list((catalogue.folder / "named").rglob("*.json"))
    assert len(stored) == len(ODD)
    assert {catalogue.load(str(path.relative_to(catalogue.folder)))["id"] for path in stored} == {
        *ODD
    }


def test_no_id_makes_us_read_outside_of_the_sources(catalogue: Catalogue) -> None:
    made = group(EntityAsset("recording", jobs.text, source="tracks/{entity}", output=Json()))
    outside = catalogue.folder.parent / "secret"
    outside.write_bytes(b"secret")
    catalogue.put("private", b"private")
    catalogue.put("tracks/good", b"good")
    asked = ["../private", "../../secret", str(outside), "good"]
    catalogue.register(*asked)

    run = catalogue.run(made, entities=asked)

    assert run.counts("materialized") == {"recording": 1}
    missing = f"no file matches 'tracks/{{entity}}' in {catalogue.folder}/tracks; put it there"
    assert run.failures == {(e, "recording"): f"input_missing: {missing}" for e in asked[:3]}
