"""Where the UI finds the code of an asset."""

import inspect

import dagster as dg

from klio_dagster import EntityAsset, EntityStep, Json
from klio_dagster.core.graph import Chain
from klio_dagster.defs.code_references import with_code_references

KEY = "dagster/code_references"


def trimmed(entity, source: bytes):
    return source


def size(entity, trimmed):
    return len(trimmed)


def references(chain, name):
    spec = with_code_references(dg.AssetSpec(name), chain, name)
    if KEY not in spec.metadata:
        return None
    return [
        (each.file_path, each.line_number, each.label)
        for each in spec.metadata[KEY].code_references
    ]


def test_they_are_the_lines_of_the_transform_and_of_the_steps_before_it():
    chain = Chain(
        [
            EntityStep("trimmed", trimmed, source="{entity}.wav"),
            EntityAsset("size", size, deps=["trimmed"], output=Json()),
        ]
    )

    found = references(chain, "size")

    lines = [inspect.getsourcelines(each)[1] for each in (size, trimmed)]
    assert found == [(__file__, lines[0], "size"), (__file__, lines[1], "trimmed")]


def test_code_without_a_file_on_this_machine_has_none():
    space = {}
    exec("def made(entity, source: bytes): return 1", space)
    made = space["made"]
    made.__module__ = __name__
    asset = EntityAsset("made", made, source="{entity}.wav", output=Json(), code_version="1")

    assert references(Chain([asset]), "made") is None
