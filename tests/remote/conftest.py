"""Services that say what a test wants."""

from tests.services.scripted import cluster as cluster
from tests.services.scripted import service as service
