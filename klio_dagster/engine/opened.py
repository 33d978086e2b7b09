"""The store of a manifest, opened in a process that carries it out."""

import os

from klio_dagster.store.access import Access
from klio_dagster.store.store import Store


def opened_store(url: str) -> Store:
    """The store at a URL, with the options that the launcher put into the environment.

    Raises:
        ConfigError: the URL or an option is wrong.
    """
    return Store.open(url, access=Access.from_environment(os.environ))
