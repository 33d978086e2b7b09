"""Every field of the engine reaches Beam, which drops without a word what it has no option for."""

import pytest
from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    WorkerOptions,
)

from klio_dagster import DataflowEngine
from klio_dagster.defs.engines import RemoteEngine

NEEDED = {"project": "p", "region": "r", "temp_location": "gs://b/temp"}
ROWS = (
    ("temp_location", "gs://b/t", GoogleCloudOptions, "temp_location", "gs://b/t"),
    ("staging_location", "gs://b/s", GoogleCloudOptions, "staging_location", "gs://b/s"),
    ("machine_type", "n2-standard-4", WorkerOptions, "machine_type", "n2-standard-4"),
    ("num_workers", 2, WorkerOptions, "num_workers", 2),
    ("max_num_workers", 3, WorkerOptions, "max_num_workers", 3),
    ("autoscaling", False, WorkerOptions, "autoscaling_algorithm", "NONE"),
    ("disk_size_gb", 30, WorkerOptions, "disk_size_gb", 30),
    ("disk_type", "a/type", WorkerOptions, "disk_type", "a/type"),
    ("service_account", "a@b", GoogleCloudOptions, "service_account_email", "a@b"),
    ("network", "n", WorkerOptions, "network", "n"),
    ("subnetwork", "s", WorkerOptions, "subnetwork", "s"),
    ("public_ips", False, WorkerOptions, "use_public_ips", False),
    ("image", "an/image:1", WorkerOptions, "sdk_container_image", "an/image:1"),
    ("setup_file", "setup.py", SetupOptions, "setup_file", "setup.py"),
    ("extra_packages", ["a.whl"], SetupOptions, "extra_packages", ["a.whl"]),
    ("labels", {"a": "b"}, GoogleCloudOptions, "labels", ["a=b"]),
    ("flexrs", True, GoogleCloudOptions, "flexrs_goal", "COST_OPTIMIZED"),
    ("experiments", ["one"], DebugOptions, "experiments", ["one"]),
    ("kms_key", "a/key", GoogleCloudOptions, "dataflow_kms_key", "a/key"),
)


@pytest.mark.parametrize(
    ("field", "value", "options", "name", "read"),
    [pytest.param(*row, id=row[0]) for row in ROWS],
)
def test_a_field_is_an_option_of_beam(field, value, options, name, read):
    engine = DataflowEngine(**{**NEEDED, field: value})

    told = PipelineOptions(flags=[], **engine.to_manifest()["pipeline_options"])

    assert getattr(told.view_as(options), name) == read


def test_no_field_is_left_out_here():
    not_beams = {"kind", "endpoint", "prices", *RemoteEngine.model_fields}

    fields = DataflowEngine.model_fields.keys() - not_beams - {"project", "region"}

    assert fields == {row[0] for row in ROWS}


def test_what_is_not_said_is_left_to_the_service():
    told = DataflowEngine(**NEEDED).to_manifest()["pipeline_options"]

    assert told == {"temp_location": "gs://b/temp"}


def test_further_options_count_before_the_fields():
    engine = DataflowEngine(**NEEDED, num_workers=2, pipeline_options={"num_workers": 5})

    assert engine.to_manifest()["pipeline_options"]["num_workers"] == 5
