"""Ask (`python -m`): how the service of an engine is, as one JSON list on stdout.

`python -m klio_dagster.engine.remote.ask ENGINE`, the engine as it stands in a manifest, in JSON.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from klio_dagster.engine.options import RemoteOptions, engine_options
from klio_dagster.engine.remote.job import Answer, Verdict
from klio_dagster.errors import KlioError


def answers(engine: str) -> list[Answer]:
    """How a service is; what it says last may be an error.

    Args:
        engine: its options, JSON.
    """
    found: list[Answer] = []
    try:
        options = engine_options(json.loads(engine))
        if isinstance(options, RemoteOptions):
            from klio_dagster.engine.beam.services import service_of

            found.extend(service_of(options).check())
    except KlioError as error:
        said = f"{error.where}: {error.what}"
        found.append(Answer("service", said, Verdict.FAIL, error.fix))
    return found


def main(arguments: Sequence[str]) -> None:
    """Print what was asked for."""
    out, sys.stdout = sys.stdout, sys.stderr
    out.write(json.dumps([asdict(each) for each in answers(arguments[0])]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
