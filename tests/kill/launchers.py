"""A run launcher that refuses as often as its folder says."""

import os
from pathlib import Path

import dagster as dg
from dagster import DefaultRunLauncher
from dagster._core.launcher import LaunchRunContext

from tests.kill import points

REFUSALS = "refusals"


class Refusing(DefaultRunLauncher):
    """Raises instead of launching."""

    def launch_run(self, context: LaunchRunContext) -> None:
        file = Path(os.environ[points.FOLDER]) / REFUSALS
        left = int(file.read_text())
        if left:
            file.write_text(str(left - 1))
            raise dg.DagsterError("there is no room for it")
        super().launch_run(context)
