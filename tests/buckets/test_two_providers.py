"""Sources in one provider's bucket, outputs in another's."""

from pathlib import Path

import numpy as np
import pytest

from klio_dagster.audio.clip import AudioClip
from klio_dagster.audio.write import encode
from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.engine.inputs import source_reader
from klio_dagster.errors import ConfigError, EntityError
from klio_dagster.store.access import Access
from klio_dagster.store.sources import SourceObject, SourcePattern, list_sources, open_source
from klio_dagster.store.store import Store
from tests.buckets.bucket_catalogue import BucketCatalogue
from tests.flows.catalogue import group
from tests.services.buckets import Bucket, bucket_at
from tests.services.gcs import BUCKET, GcsServer


def seconds(entity: object, source: AudioClip) -> dict[str, float]:
    return {"seconds": source.duration_s}


@pytest.fixture
def recordings(s3: str) -> Bucket:
    bucket = bucket_at("s3", s3)
    for number in range(1, 4):
        clip = AudioClip(np.zeros((1, 8000 * number), np.float32), 8000)
        bucket.store().put(f"tracks/track-{number}.wav", encode(clip, format="wav").data)
    return bucket


def test_recordings_are_read_from_s3_and_outputs_written_to_gcs(
    catalogue: BucketCatalogue, direct: Store, recordings: Bucket
):
    catalogue.register("track-1", "track-2", "track-3")
    catalogue.source_options = {f"s3://{BUCKET}": recordings.options}
    lengths = group(
        EntityAsset(
            "length",
            seconds,
            source=f"{recordings.url}/tracks/{{entity}}.wav",
            output=Json(),
        )
    )

    done = catalogue.run(lengths)
    again = catalogue.run(lengths)

    assert done.counts("materialized") == {"length": 3}, done.error
    assert again.counts("skipped") == {"length": 3}, again.error
    assert catalogue.load("length/track-3.json") == {"seconds": 3.0}
    assert [info.path for info in recordings.store().list("length/")] == []


def test_a_recording_too_large_to_be_held_is_not_downloaded(recordings: Bucket):
    store = Store.open(recordings.url, options=recordings.options)
    opened = open_source(store, SourceObject("tracks/track-3.wav", "", 0))

    with pytest.raises(EntityError, match="downloaded whole up to 1,000"):
        opened.read(most_bytes=1000)
    assert source_reader(seconds, "length")(store, "tracks/track-3.wav").duration_s == 3.0


def test_options_of_the_bucket_count_else_those_of_its_kind_and_those_of_the_store_for_its_kind(
    recordings: Bucket, gcs: GcsServer, tmp_path: Path
):
    access = Access({f"s3://{BUCKET}": recordings.options, "s3://": {"region": "eu-north-1"}})
    store = Store.open(
        "gs://klio-tests/out", options=Bucket("gs", gcs.url, "").options, access=access
    )
    pattern = SourcePattern.parse(f"{recordings.url}/tracks/{{entity}}.wav")

    assert sorted(list_sources(pattern, store).matches) == ["track-1", "track-2", "track-3"]
    assert store.elsewhere("s3://other").options == {"region": "eu-north-1"}
    assert store.elsewhere("gs://other").options["base_url"] == gcs.url
    assert store.elsewhere(str(tmp_path)).options == {}
    again = Access.from_environment({"KLIO_STORE_OPTIONS": store.access.to_text()})
    assert Store.open("gs://klio-tests/out", access=again).options == store.options


def test_options_of_what_is_no_bucket_are_refused():
    for location in ("/data", "s3://bucket/folder", "http://bucket", "bucket"):
        with pytest.raises(ConfigError, match="belong to a bucket"):
            Access({location: {}})
