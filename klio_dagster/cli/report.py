"""The one object that `klio run --json` ends with, however the runs end."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from klio_dagster.cli.ending import ending
from klio_dagster.cli.output import is_debug, print_json
from klio_dagster.defs.summary import BY_ASSET, COUNTS


class Report:
    """What is known of the runs of one command while it goes on.

    Attributes:
        keys: of the assets asked for.
        run_ids: the runs made so far.
        summaries: of those that ended with one.
        is_launch: the runs are only put into a queue.
    """

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.run_ids: list[str] = []
        self.summaries: list[Mapping[str, Any]] = []
        self.is_launch = False
        self._started = time.monotonic()

    def to_json(self) -> dict[str, Any]:
        """The object of a command that came to its end."""
        return {"run_ids": self.run_ids} if self.is_launch else merge(self.summaries)

    def stopped(self, error: str) -> dict[str, Any]:
        """The object of a command that raised; counts are 0 where a run left no summary.

        Args:
            error: the line that people read of it.
        """
        if self.is_launch:
            return {**self.to_json(), "error": error}
        counted = {key for each in self.summaries for key in each["assets"]}
        spent = sum(each["seconds"] for each in self.summaries)
        nothing = {
            "run_id": self.run_ids[-1] if self.run_ids else None,
            "seconds": round(time.monotonic() - self._started - spent, 3),
            "assets": {key: dict.fromkeys(COUNTS, 0) for key in self.keys if key not in counted},
            "failures": [],
            "blocked": 0,
            **{name: {} for name in BY_ASSET},
        }
        return {**merge([*self.summaries, nothing]), "error": error}


def reported(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives the function a `report`, and prints it with `--json` also when the function raises."""

    @functools.wraps(function)
    def command(*, as_json: bool, **options: object) -> object:
        report = Report()
        try:
            code = function(report=report, as_json=as_json, **options)
        except BrokenPipeError:  # nobody reads
            raise
        except (Exception, KeyboardInterrupt) as error:
            if as_json:
                print_json(report.stopped(ending(error, debug=is_debug()).line))
            raise
        if as_json:
            print_json(report.to_json())
        return code

    return command


def merge(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The summaries of several runs as one; a single one as it is."""
    merged: dict[str, Any] = {
        "run_id": summaries[-1]["run_id"],
        "seconds": round(sum(each["seconds"] for each in summaries), 3),
        "assets": _joined("assets", summaries),
        "failures": _each_once([f for each in summaries for f in each["failures"]]),
        "blocked": sum(each["blocked"] for each in summaries),
        **{name: _joined(name, summaries) for name in BY_ASSET},
    }
    sources = {name: told for each in summaries for name, told in each.get("sources", {}).items()}
    if sources:
        merged["sources"] = sources
    unpublished = [each["unpublished"] for each in summaries if "unpublished" in each]
    if unpublished:
        merged["unpublished"] = unpublished[0]
    if len(summaries) > 1:
        merged["run_ids"] = list(dict.fromkeys(each["run_id"] for each in summaries))
    return merged


def _joined(name: str, summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: told for each in summaries for key, told in each[name].items()}


def _each_once(failures: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The failures; an id that every group refused is one failure."""
    refused: set[str] = set()
    kept: list[Mapping[str, Any]] = []
    for failure in failures:
        if failure["asset"] is None:
            if failure["entity"] in refused:
                continue
            refused.add(failure["entity"])
        kept.append(failure)
    return kept
