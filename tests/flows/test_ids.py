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


def test_bad_ids_are_refused_one_by_one_and_odd_ones_stay_inside_the_store(
    catalogue: Catalogue,
) -> None:
    made = group(
        EntityAsset("named", jobs.named, output=Json()),
        EntityAsset("recording", jobs.text, source="tracks/{entity}", output=Json()),
    )
    outside = catalogue.folder.parent / "secret"
    outside.write_bytes(b"secret")
    catalogue.put("private", b"private")
    catalogue.put("tracks/good", b"good")
    odd = [*ODD, "good", "../private", "../../secret", str(outside)]
    catalogue.register(*odd)

    run = catalogue.run(made, entities=[*REFUSED, *odd])

    refused = {(e, None): f"invalid_id: {why}" for e, why in REFUSED.items()}
    missing = f"no file matches 'tracks/{{entity}}' in {catalogue.folder}/tracks; put it there"
    unread = {(e, "recording"): f"input_missing: {missing}" for e in odd if e != "good"}
    assert run.failures == refused | unread
    assert run.error.startswith(r"18 failed, 0 blocked by them: 'nul\x00inside': invalid_id: ")
    assert run.counts("materialized") == {"named": len(odd), "recording": 1}
    assert run.counts("failed") == {
        "named": len(REFUSED),
        "recording": len(REFUSED) + len(odd) - 1,
    }
    assert catalogue.materialized("named") == set(odd)

    above = {path.name for path in catalogue.folder.parent.iterdir()}
    assert above == {"home", "store", "secret"}
    inside = {path.name for path in catalogue.folder.iterdir()}
    assert inside == {"_klio", "named", "recording", "private", "tracks"}
    stored = [
        path.relative_to(catalogue.folder) for path in (catalogue.folder / "named").rglob("*.json")
    ]
    assert sorted(catalogue.load(str(path))["id"] for path in stored) == sorted(odd)
