"""`KlioTranslator`: how entity assets and their sources appear in Dagster."""

import inspect
import re
from collections.abc import Sequence

import dagster as dg

from klio_dagster.core.asset import EntityAsset

_TOKEN = re.compile(r"\{entity(:path|:escaped)?\}|\*")
_NOT_OF_A_KEY = re.compile(r"[^A-Za-z0-9_]+")
_FOR_CALLERS = ("Args:", "Raises:")  # parts of a docstring that say nothing of the output


class KlioTranslator:
    """Override a method to change keys, groups, owners or descriptions.

    Dependencies, code version and partitions are set by `klio_assets` and need no care here.
    """

    def get_asset_spec(self, asset: EntityAsset) -> dg.AssetSpec:
        """The spec of an entity asset."""
        return dg.AssetSpec(
            key=dg.AssetKey([asset.name]),
            description=asset.description or _described(asset.transform),
            group_name=asset.group_name,
            kinds={*asset.kinds} or {"python", asset.output.suffix.lstrip(".")},
            owners=list(asset.owners),
            tags=dict(asset.tags),
        )

    def get_source_spec(self, pattern: str) -> dg.AssetSpec:
        """The spec of the external asset that a source pattern is.

        `tracks/{entity}.flac` becomes the key `source/tracks_flac`.
        """
        scheme, _, rest = pattern.rpartition("://")
        parts: Sequence[str] = [scheme, *_TOKEN.sub("/", rest).split("/")]
        named = [_NOT_OF_A_KEY.sub("_", part).strip("_") for part in parts]
        name = "_".join(part for part in named if part)
        return dg.AssetSpec(
            key=dg.AssetKey(["source", name] if name else ["source"]),
            description=f"Recordings as they lie at `{pattern}`, one partition an entity. Their "
            "versions are observed; no run makes them, so Dagster counts none as filled.",
            kinds={"source"},
        )


def _described(transform: object) -> str | None:
    """What the docstring says of the output."""
    paragraphs = (inspect.getdoc(transform) or "").split("\n\n")
    return "\n\n".join(p for p in paragraphs if not p.startswith(_FOR_CALLERS)) or None
