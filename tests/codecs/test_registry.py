import json

import pytest

from klio_dagster.codecs.array import Array
from klio_dagster.codecs.audio import Audio
from klio_dagster.codecs.json import Json
from klio_dagster.codecs.registry import codec_from_json, codec_to_json
from klio_dagster.codecs.table import Table
from klio_dagster.core.output import Dumped, OutputCodec
from klio_dagster.errors import ConfigError

CODECS = {
    "array": Array(),
    "audio": Audio(),
    "audio with options": Audio("wav", bit_depth=24),
    "json": Json(),
    "json with options": Json(max_bytes=7),
    "table": Table(),
    "table with a schema": Table(schema="tests.codecs.table_schemas:Levels"),
}


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
def test_a_worker_makes_the_codec_again_from_the_manifest(codec):
    written = json.loads(json.dumps(codec_to_json(codec)))

    assert codec_from_json(written) == codec


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
def test_every_codec_answers_the_whole_protocol(codec):
    assert isinstance(codec, OutputCodec)
    assert codec.suffix.startswith(".")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"name": "pickle"}, id="unknown"),
        pytest.param({"name": "os:system"}, id="something to import"),
        pytest.param({"name": ["array"]}, id="no text"),
        pytest.param({}, id="nothing"),
    ],
)
def test_a_manifest_can_name_no_codec_but_ours(fields):
    with pytest.raises(ConfigError, match="no such codec; use one of array, audio, json, table"):
        codec_from_json(fields)


def test_parameters_of_another_version_are_one_clear_error():
    with pytest.raises(ConfigError, match="codec 'array': its parameters are not understood"):
        codec_from_json({"name": "array", "compressed": True})


def test_a_codec_that_no_worker_could_make_is_refused_when_it_is_written_down():
    class Pickle:
        name = "array"
        suffix = ".pkl"

        def dump(self, value: object) -> Dumped:
            return Dumped(repr(value).encode())

        def load(self, data: bytes, where: str) -> object:
            return (data, where)

        def to_json(self) -> dict[str, object]:
            return {}

    with pytest.raises(ConfigError, match="Pickle is not a codec of this library"):
        codec_to_json(Pickle())
