"""Ask (`python -m`): how the service of an engine is, a JSON object an answer and line of stdout.

`python -m klio_dagster.engine.remote.ask ENGINE SECONDS`: the engine as it stands in a manifest, in
JSON, and after how long the one who asks ends us. What was answered until then is not lost.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from klio_dagster.engine.options import RemoteOptions, engine_options
from klio_dagster.engine.remote.job import Answer, Verdict
from klio_dagster.errors import KlioError

_OF_OUR_TIME = 2 / 3  # before that Beam is imported, and afterwards there are last words to say


def answers(engine: str, within_s: float) -> Iterator[Answer]:
    """How a service is; what it says last may be an error.

    Args:
        engine: its options, JSON.
        within_s: how long all of it may take, in seconds.
    """
    try:
        options = engine_options(json.loads(engine))
        if isinstance(options, RemoteOptions):
            from klio_dagster.engine.beam.own_server import START_S
            from klio_dagster.engine.beam.services import service_of

            start_s = min(START_S, _OF_OUR_TIME * within_s)
            yield from service_of(options).check(start_s)
    except KlioError as error:
        said = f"{error.where}: {error.what}"
        yield Answer("service", said, Verdict.FAIL, error.fix)


def main(arguments: Sequence[str]) -> None:
    """Print each answer as soon as there is one."""
    out, sys.stdout = sys.stdout, sys.stderr
    engine, within_s = arguments
    for each in answers(engine, float(within_s)):
        out.write(json.dumps(asdict(each)) + "\n")
        out.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
