import dagster as dg
import numpy as np
import pytest

from tests.observe.viewed import HOSTILE, Viewed, table
from tests.services.scripted import cluster as cluster
from tests.services.scripted import service as service


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """Two good tracks, a long and a short one, a failed, a missing, and hostile ids."""
    folder = tmp_path_factory.mktemp("viewed")
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        made = Viewed(folder, instance)
        made.store_audio("long", 4.0, at=1.0)
        made.store_audio("short", 0.5, at=9.0)
        made.store_output("mel", "long", np.eye(4, dtype=np.float32), tempo=120)
        made.store_output("features", "long", table(30))
        made.fail("broken")
        made.store_audio("was-good", 2.0, at=1.0)
        made.fail("was-good", "disk on fire", at=4.0)
        made.known.append("missing")
        for entity in HOSTILE:
            made.store_audio(entity, 1.0)
        made.stale.add(("mel", "long"))
        made.view.read()
        yield made


@pytest.fixture
def view(catalogue):
    return catalogue.view
