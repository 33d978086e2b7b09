"""Names among the pipeline options that Beam would drop with no more than a warning in its log."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from klio_dagster.core.wording import did_you_mean
from klio_dagster.engine.remote.job import Answer, Verdict


def unknown_options(given: Mapping[str, Any], others: Collection[str] = ()) -> Iterator[Answer]:
    """A warning for each name that nobody reads.

    Args:
        given: what the engine passes on to Beam.
        others: names that the service reads itself.
    """
    known = {*PipelineOptions(flags=[]).get_all_options(), *others}
    for name in sorted(set(given) - known):
        fix = did_you_mean(name, known) or "mend or remove it, unless your own transforms read it"
        yield Answer("pipeline_options", f"Beam knows no option '{name}'", Verdict.WARN, fix)
