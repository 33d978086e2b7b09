"""Where the code of an asset is, as the UI links to it."""

import inspect
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from klio_dagster.core.graph import Chain

_KEY = "dagster/code_references"  # where the UI looks for them


def with_code_references(spec: dg.AssetSpec, chain: Chain, name: str) -> dg.AssetSpec:
    """The spec with the file and line of the asset's transform and of the steps it is made by.

    References that a translator gave come first. A transform whose file is not on this machine (it
    was made at run time, or came out of an archive) has none.

    Args:
        spec: of the asset.
        chain: the group.
        name: of the asset in it.
    """
    given = spec.metadata.get(_KEY)
    own = given.code_references if isinstance(given, dg.CodeReferencesMetadataValue) else []
    steps = chain.steps_for(name)
    parts = [chain.part(name), *(chain.part(each) for each in chain.order if each in steps)]
    with warnings.catch_warnings():
        # Marked beta, as is all that Dagster knows of code; without it the page has no link.
        warnings.simplefilter("ignore", dg.BetaWarning)
        found = [each for part in parts for each in _references(part.transform)]
        if not found:
            return spec
        references = dg.CodeReferencesMetadataValue(code_references=[*own, *found])
        return spec.replace_attributes(metadata={**spec.metadata, _KEY: references})


def _references(transform: Callable[..., Any]) -> Iterator[dg.LocalFileCodeReference]:
    try:
        file = inspect.getsourcefile(inspect.unwrap(transform))
        _, line = inspect.getsourcelines(transform)
    except (OSError, TypeError):
        return
    path = Path(file or "").resolve()
    if path.is_file():
        name = transform.__qualname__
        yield dg.LocalFileCodeReference(file_path=str(path), line_number=line, label=name)
