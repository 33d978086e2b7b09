"""Which ledger a store belongs to: outputs of one are not to be computed again by mistake."""

import json
from collections.abc import Sequence

import dagster as dg

from klio_dagster.errors import ConfigError
from klio_dagster.ledger.events import asset_key
from klio_dagster.ledger.internals.instance import instance_id
from klio_dagster.store.layout import LEDGER_PATH
from klio_dagster.store.store import Store


def adopt_store(
    store: Store, instance: dg.DagsterInstance, keys: Sequence[str], *, allow_new: bool
) -> None:
    """Have the store remember the instance; the first run of a store does.

    Another instance takes it over if it knows something of these assets, or is told to. A store
    that remembers nothing must hold what the instance knows, or all of it would be skipped in vain.

    Args:
        store: where the outputs lie.
        instance: Dagster's.
        keys: of the assets that are to run.
        allow_new: start over with an empty ledger.

    Raises:
        ConfigError: the store has outputs that another instance knows, and this one knows nothing;
            or the instance knows outputs that lie elsewhere.
    """
    if is_to_be_adopted(store, instance, keys, allow_new=allow_new):
        store.put(LEDGER_PATH, json.dumps({"instance": instance_id(instance)}).encode() + b"\n")


def is_to_be_adopted(
    store: Store, instance: dg.DagsterInstance, keys: Sequence[str], *, allow_new: bool = False
) -> bool:
    """Whether the next run has the store remember the instance, and not another one or none.

    Nothing is written.

    Args:
        store: where the outputs lie.
        instance: Dagster's.
        keys: of the assets that are to run.
        allow_new: start over with an empty ledger.

    Raises:
        ConfigError: that run would refuse to.
    """
    theirs = _remembered(store)
    if theirs == instance_id(instance):
        return False
    if theirs is not None and keys and not allow_new and _knows_nothing(instance, keys):
        raise ConfigError(
            "its outputs are recorded in another Dagster instance, and this one is empty",
            where=f"store '{store.url}'",
            fix="set DAGSTER_HOME to that instance's (`klio dev` and `klio run` find the project's"
            " own), or start over with allow_new_ledger: true in the run config, `klio run"
            " --new-ledger`",
        )
    if theirs is None and not allow_new:
        _check_outputs_are_there(store, instance, keys)
    return True


def check_store_is_ours(store: Store, instance: dg.DagsterInstance) -> None:
    """Refuse a store that another instance has recorded: ours would take its outputs for nobody's.

    Nothing is written. A store that remembers no instance is fine.

    Args:
        store: where the outputs lie.
        instance: Dagster's.

    Raises:
        ConfigError: another instance has recorded the outputs.
    """
    if _remembered(store) not in (None, instance_id(instance)):
        raise ConfigError(
            "its outputs are recorded in another Dagster instance; nothing is removed",
            where=f"store '{store.url}'",
            fix="set DAGSTER_HOME to that instance's, or have this one take the store over: `klio"
            " run --new-ledger`",
        )


def _remembered(store: Store) -> str | None:
    data = store.get_or_none(LEDGER_PATH)
    try:
        return None if data is None else str(json.loads(data)["instance"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            "it does not say which Dagster instance has recorded the outputs",
            where=store.uri(LEDGER_PATH),
            fix="remove it; the next run writes it anew",
        ) from error


def _check_outputs_are_there(
    store: Store, instance: dg.DagsterInstance, keys: Sequence[str]
) -> None:
    """Refuse a store in which none of the newest recorded outputs lies.

    Raises:
        ConfigError: the outputs lie elsewhere, or were removed.
    """
    uris = {key: uri for key in keys if (uri := _newest_uri(instance, key))}
    if uris and not any(store.exists(_path_of(key, uri)) for key, uri in uris.items()):
        raise ConfigError(
            f"what is recorded as done is not there, but at {next(iter(uris.values()))}",
            where=f"store '{store.url}'",
            fix="correct the store, or copy the outputs into it; `klio run --new-ledger --force`"
            " computes them again (allow_new_ledger and force in the run config)",
        )


def _newest_uri(instance: dg.DagsterInstance, key: str) -> str:
    """Where the newest output of an asset lies; empty if there is none, or not of ours."""
    for record in instance.fetch_materializations(asset_key(key), limit=1).records:
        made = record.asset_materialization
        uri = made.metadata.get("uri") if made else None
        return str(uri.value) if uri else ""
    return ""


def _path_of(key: str, uri: str) -> str:
    """The path in its store of an output, whatever the store was called then."""
    return f"{key}/{uri.rpartition(f'/{key}/')[2]}"


def _knows_nothing(instance: dg.DagsterInstance, keys: Sequence[str]) -> bool:
    return not any(instance.fetch_materializations(asset_key(key), limit=1).records for key in keys)
