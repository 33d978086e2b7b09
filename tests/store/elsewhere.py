"""Claims in the hands of others."""

from dataclasses import replace
from typing import Any

from klio_dagster.store.claim import Claim, encoded
from klio_dagster.store.layout import claim_path
from klio_dagster.store.objects import ObjectStore
from klio_dagster.store.open_claim import OpenClaim, open_claim


def launched_by(store: ObjectStore, claim: Claim, **launcher: Any) -> OpenClaim:
    """The claim as another launcher has written it, which differs in these fields."""
    theirs = replace(claim, launcher=replace(claim.launcher, **launcher))
    store.put(claim_path(theirs.work_id), encoded(theirs))
    return OpenClaim(store, theirs)


def held_elsewhere(store: ObjectStore, run_id: str = "r1", **fields: Any) -> OpenClaim:
    """A claim of another machine, in the hands of its launcher there."""
    claim = open_claim(store, run_id, **{"assets": ["mel"], **fields}).claim
    return launched_by(store, claim, host="elsewhere", machine="another")
