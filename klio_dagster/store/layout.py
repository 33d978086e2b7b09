"""The path of every object we write, relative to the store. Pure.

<asset>/<escaped entity id><suffix>              outputs
_klio/receipts/<work id>/...                     receipts, compacted once they are recorded
_klio/open/<work id>/claim.json, beat            what a started run holds
_klio/runs/<work id>/manifest-00000.jsonl, ...   what a run was asked to do, and what failed
_klio/requests/<id>.jsonl                        entities a run is asked for, if they are many
_klio/removed/<escaped entity id>                taken down: never computed again
_klio/inbox/<sensor>/<batch id>.jsonl            messages whose entities are not recorded yet
_klio/published/<batch or work id>/<id>.json     which of them were passed on already
_klio/outbox/<group>/<batch or work id>-<id>.jsonl  recorded, and still to be passed on
_klio/held/<group>/<escaped entity id>=<id>      messages of an entity that failed
_klio/given-up/<group>/<escaped entity id>=<n>   tried too often, at last in event n of the ledger
_klio/waiting/<asset>/<id>/<escaped entity id>   messages whose input was asked for upstream
_klio/waiting/+unasked/<sensor>/<id>.jsonl       the same, before it was
_klio/dead-letter/<group>/<letter id>.json       messages nobody will try again by himself
_klio/replay/<sensor>/<letter id>.json           dead letters on their way back
_klio/doctor/<id>/<name>                         written by `klio doctor`, and removed at once

A work id is the run's id, with the group's name where one run computes several groups.
"""

import re
from functools import lru_cache
from hashlib import sha256

from klio_dagster.core.ids import FOLDER_END, MAX_ASSET_BYTES, escape, unescape
from klio_dagster.errors import ConfigError, InvalidEntityIdError

OWN_FOLDER = "_klio"
OPEN_PREFIX = f"{OWN_FOLDER}/open/"
RECEIPTS_PREFIX = f"{OWN_FOLDER}/receipts/"
RUNS_PREFIX = f"{OWN_FOLDER}/runs/"
REQUESTS_PREFIX = f"{OWN_FOLDER}/requests/"
REMOVED_PREFIX = f"{OWN_FOLDER}/removed/"
INBOX_PREFIX = f"{OWN_FOLDER}/inbox/"
WAITING_PREFIX = f"{OWN_FOLDER}/waiting/"
DEAD_LETTER_PREFIX = f"{OWN_FOLDER}/dead-letter/"
HELD_PREFIX = f"{OWN_FOLDER}/held/"
GIVEN_UP_PREFIX = f"{OWN_FOLDER}/given-up/"
OUTBOX_PREFIX = f"{OWN_FOLDER}/outbox/"
PUBLISHED_PREFIX = f"{OWN_FOLDER}/published/"
REPLAY_PREFIX = f"{OWN_FOLDER}/replay/"
DOCTOR_PREFIX = f"{OWN_FOLDER}/doctor/"
UNASKED_PREFIX = f"{WAITING_PREFIX}+unasked/"  # no asset is called so

_ASSET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(?:/[A-Za-z0-9_][A-Za-z0-9_-]*)*")
_MOST_OF_A_GROUP = 40
_PUT_ASIDE = re.compile(r"[A-Za-z0-9_-]+-[0-9a-f]{8}")
_WORK_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


def output_path(asset: str, entity_id: str, suffix: str) -> str:
    """Where the output of one entity lies.

    Args:
        asset: name of the asset, or its key path joined by `/`.
        entity_id: a checked id.
        suffix: of the codec, with its dot.

    Raises:
        ConfigError: the asset's name cannot be a folder.
        InvalidEntityIdError: the id cannot be escaped.
    """
    return f"{check_asset(asset)}/{escape(entity_id)}{suffix}"


def entity_of(asset: str, suffix: str, path: str) -> str | None:
    """The entity whose output lies at this path; None if it is no output of this asset.

    Raises:
        ConfigError: the asset's name cannot be a folder.
    """
    folder = check_asset(asset) + "/"
    if not (path.startswith(folder) and path.endswith(suffix)):
        return None
    try:
        return unescape(path[len(folder) : len(path) - len(suffix)])
    except InvalidEntityIdError:
        return None


@lru_cache(maxsize=1024)
def check_asset(asset: str) -> str:
    """The asset's name itself if outputs can lie in a folder called like that.

    Raises:
        ConfigError: they cannot; the message says why.
    """
    where = f"asset {asset!r}"
    if not _ASSET.fullmatch(asset):
        raise ConfigError(
            "its name names a folder in the store and cannot", where, "use letters, digits, _ and -"
        )
    if len(asset) > MAX_ASSET_BYTES:
        raise ConfigError(f"its name is longer than {MAX_ASSET_BYTES}", where, "shorten it")
    if asset.casefold().startswith(OWN_FOLDER):
        raise ConfigError(f"names beginning with {OWN_FOLDER} are ours", where, "choose another")
    return asset


def receipts_prefix(work_id: str) -> str:
    """Folder of a run's receipt parts."""
    return f"{OWN_FOLDER}/receipts/{_checked(work_id)}/"


def compacted_receipts(work_id: str) -> str:
    """The one object that replaces a recorded run's parts."""
    return f"{receipts_prefix(work_id)}compacted.jsonl.gz"


LEDGER_PATH = f"{OWN_FOLDER}/ledger.json"
"""Says which Dagster instance has recorded the outputs."""

CLOCK_PATH = f"{OWN_FOLDER}/clock"
"""Rewritten to learn what time it is for the store."""


def claim_path(work_id: str) -> str:
    """What a started run holds."""
    return f"{OPEN_PREFIX}{_checked(work_id)}/claim.json"


def settling_path(work_id: str, n: int = 0) -> str:
    """Says that somebody records what a dead run had finished; who was killed at it, `n` before."""
    return f"{OPEN_PREFIX}{_checked(work_id)}/settling{f'-{n}' if n else ''}"


def beat_path(work_id: str) -> str:
    """The object whose age says whether a claim's run lives."""
    return f"{OPEN_PREFIX}{_checked(work_id)}/beat"


def manifest_part(work_id: str, n: int) -> str:
    """Part `n` (from 0) of what a run was asked to do."""
    return f"{OWN_FOLDER}/runs/{_checked(work_id)}/manifest-{n:05}.jsonl"


def manifest_head(work_id: str) -> str:
    """What all parts of a run's manifest have in common."""
    return f"{OWN_FOLDER}/runs/{_checked(work_id)}/manifest.json"


def failures_path(work_id: str) -> str:
    """The full list of what failed in a run."""
    return f"{OWN_FOLDER}/runs/{_checked(work_id)}/failures.jsonl"


def summary_path(work_id: str) -> str:
    """What a run did, counted."""
    return f"{OWN_FOLDER}/runs/{_checked(work_id)}/summary.json"


def request_path(request_id: str) -> str:
    """The entities a run is asked for, a JSON object a line."""
    return f"{OWN_FOLDER}/requests/{_checked(request_id)}.jsonl"


def inbox_prefix(sensor: str) -> str:
    """Folder of the batches that a sensor has taken in."""
    return f"{INBOX_PREFIX}{_checked(sensor)}/"


def batch_path(sensor: str, batch: str) -> str:
    """A batch of messages; the names of later ones sort after it."""
    return f"{inbox_prefix(sensor)}{_checked(batch)}.jsonl"


def published_prefix(work: str) -> str:
    """Folder of what says which entities of a batch, or of a run's work, were passed on."""
    return f"{PUBLISHED_PREFIX}{_checked(work)}/"


def outbox_prefix(group: str) -> str:
    """Folder of what was recorded of a group and has still to be passed on."""
    return f"{OUTBOX_PREFIX}{_checked(group)}/"


def held_prefix(group: str) -> str:
    """Folder of the messages whose entities failed."""
    return f"{HELD_PREFIX}{_checked(group)}/"


def held_path(group: str, entity_id: str, messages_id: str) -> str:
    """Messages of an entity that failed; an entity may have several such objects.

    Raises:
        InvalidEntityIdError: the id cannot be escaped.
    """
    return f"{held_prefix(group)}{escape(entity_id)}={messages_id}"


def given_up_prefix(group: str) -> str:
    """Folder of what says which entities were tried too often."""
    return f"{GIVEN_UP_PREFIX}{_checked(group)}/"


def given_up_path(group: str, entity_id: str, event_id: int) -> str:
    """Says that an entity was given up after an event of the ledger.

    Raises:
        InvalidEntityIdError: the id cannot be escaped.
    """
    return f"{given_up_prefix(group)}{escape(entity_id)}={event_id}"


def entity_and_id(path: str, prefix: str) -> tuple[str, str] | None:
    """The entity, and what stands after it, of a path below a prefix; None if it is no such path.

    No escaped id has a `=`.
    """
    escaped, _, number = path.removeprefix(prefix).rpartition("=")
    try:
        return (unescape(escaped), number) if escaped else None
    except InvalidEntityIdError:
        return None


def unasked_prefix(sensor: str) -> str:
    """Folder of the messages whose inputs a sensor has still to ask for."""
    return f"{UNASKED_PREFIX}{_checked(sensor)}/"


def waiting_path(asset: str, put_aside: str, entity_id: str) -> str:
    """Messages of an entity whose input was asked for upstream.

    Args:
        asset: key of the asset that lacks it.
        put_aside: id of the batch and the run that found it missing.
        entity_id: a checked id.

    Raises:
        ConfigError: the asset's name cannot be a folder.
        InvalidEntityIdError: the id cannot be escaped.
    """
    return f"{WAITING_PREFIX}{check_asset(asset)}/{_checked(put_aside)}/{escape(entity_id)}"


def waiting_entity(asset: str, path: str) -> str | None:
    """The entity whose messages wait there for an input of an asset; None if it is another's."""
    folder = f"{WAITING_PREFIX}{check_asset(asset)}/"
    if not path.startswith(folder):
        return None
    put_aside, _, name = path.removeprefix(folder).partition("/")
    try:
        return unescape(name) if _PUT_ASIDE.fullmatch(put_aside) else None
    except InvalidEntityIdError:
        return None


def kept_entity(path: str) -> str | None:
    """The entity whose held or waiting messages lie at this path; None if there is none.

    Or that was given up, as the path says.
    """
    *above, name = path.partition("=")[0].split("/")
    while above and above[-1].endswith(FOLDER_END):  # of a long name; no group or asset ends so
        name = f"{above.pop()}/{name}"
    try:
        return unescape(name)
    except InvalidEntityIdError:
        return None


def dead_letter_prefix(group: str) -> str:
    """Folder of a group's dead letters."""
    return f"{DEAD_LETTER_PREFIX}{_checked(group)}/"


def replay_prefix(sensor: str) -> str:
    """Folder of the dead letters that a sensor is to take in again."""
    return f"{REPLAY_PREFIX}{_checked(sensor)}/"


def doctor_path(look_id: str, name: str) -> str:
    """An object that is written to see whether that is possible, and removed at once."""
    return f"{DOCTOR_PREFIX}{_checked(look_id)}/{name}"


def removed_path(entity_id: str) -> str:
    """The tombstone of an entity that was taken down.

    Raises:
        InvalidEntityIdError: the id cannot be escaped.
    """
    return f"{REMOVED_PREFIX}{escape(entity_id)}"


def removed_entity(path: str) -> str | None:
    """The entity whose tombstone lies at this path; None if it is none."""
    try:
        return unescape(path.removeprefix(REMOVED_PREFIX))
    except InvalidEntityIdError:
        return None


def work_id_of(run_id: str, group: str | None = None) -> str:
    """Names the folders of what one run does for one group.

    Args:
        run_id: Dagster's id of the run.
        group: name of the group where the run computes several; None where it is the only one.
    """
    if group is None:
        return run_id
    # Only short names are used as they are: a folder's name has an end.
    short = group if len(group) <= _MOST_OF_A_GROUP else sha256(group.encode()).hexdigest()[:16]
    return f"{run_id}-{short}"


def _checked(work_id: str) -> str:
    if not _WORK_ID.fullmatch(work_id):
        raise ConfigError(
            "a run id names a folder in the store and this one cannot",
            where=f"run {work_id!r}",
            fix="use the id Dagster shows",
        )
    return work_id
