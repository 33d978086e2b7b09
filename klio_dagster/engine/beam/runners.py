"""Engine options to a Beam pipeline on a runner that is named explicitly."""

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from klio_dagster.engine.options import LocalOptions


def local_pipeline(options: LocalOptions) -> beam.Pipeline:
    """A pipeline on this machine.

    Beam's default `DirectRunner` tries to download another runner first and behaves differently
    where it can (reference: beam, local). One bundle in one thread is what the pool needs: it does
    the spreading itself.
    """
    defaults = {"direct_num_workers": 1, "direct_running_mode": "in_memory"}
    return beam.Pipeline(
        runner=FnApiRunner(),
        options=PipelineOptions(flags=[], **{**defaults, **options.pipeline_options}),
    )
