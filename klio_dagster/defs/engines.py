"""Engines as configuration: what executes the Beam pipeline, and with what options."""

import os
from typing import Any, Literal

import dagster as dg
from pydantic import Field

SPARES = "KLIO_SPARE_DRIVERS"
"""Names the folder where runs leave a driver for the next one; `klio dev` sets it."""


class LocalEngine(dg.Config):
    """This machine, one worker process a core."""

    kind: Literal["local"] = "local"
    workers: int | None = Field(
        default=None, ge=1, description="Worker processes; as many as there are cores by default."
    )
    pipeline_options: dict[str, Any] = Field(
        default={}, description="Beam pipeline options, passed on untouched."
    )

    def to_manifest(self) -> dict[str, Any]:
        """The engine as the plain dict a manifest holds."""
        return {
            "kind": self.kind,
            "workers": self.workers,
            "pipeline_options": dict(self.pipeline_options),
            "spares": os.environ.get(SPARES),
        }
