import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.catalogue import Catalogue, computed_tracks, opened


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with opened(tmp_path) as catalogue:
        yield catalogue


@pytest.fixture(scope="session")
def computed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tracks a and b computed, which tests copy: computing takes seconds."""
    folder = tmp_path_factory.mktemp("computed")
    with opened(folder) as catalogue:
        computed_tracks(catalogue)
    return folder


@pytest.fixture
def computed(computed_once: Path, tmp_path: Path) -> Iterator[Catalogue]:
    """Tracks a and b of `tracks()`, computed."""
    shutil.copytree(computed_once, tmp_path, dirs_exist_ok=True)
    with opened(tmp_path) as catalogue:
        yield catalogue
