"""Where an engine's workers are started: on this machine, or on others."""

import socket
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from klio_dagster.engine.options import FlinkOptions, PortableOptions, RemoteOptions


def address_of(options: PortableOptions) -> str:
    """The address of what starts workers; empty where the run starts that itself, and so here."""
    return options.master if isinstance(options, FlinkOptions) else options.job_endpoint


def is_here(address: str) -> bool:
    """Whether an address is one of this machine, as far as it says so itself: no name is looked up.

    Args:
        address: `host:port` or a URL; empty: here.
    """
    try:
        host = urlsplit(address if "://" in address else f"//{address}").hostname or ""
    except ValueError:  # it is none; who connects to it says so
        return False
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host in {"", "localhost", socket.gethostname().lower()}


def uses_this_environment(options: RemoteOptions) -> bool:
    """Whether its workers are processes of this machine, and import what this one does."""
    return (
        isinstance(options, PortableOptions)
        and options.environment == "process"
        and options.worker is None
        and is_here(address_of(options))
    )
