"""The messages of a run: who it is in them, where they go, and what becomes of its batch."""

import time
from collections.abc import Callable
from typing import Protocol

import dagster as dg

from klio_dagster.core.job import JobId
from klio_dagster.core.plan import Plan
from klio_dagster.defs.group import EntityGroup
from klio_dagster.defs.passing_on import PassingOn
from klio_dagster.defs.requested import Wanted
from klio_dagster.defs.run import Run
from klio_dagster.defs.run_config import KlioRunConfig
from klio_dagster.defs.sending import Post, Sending
from klio_dagster.defs.telling import Telling
from klio_dagster.errors import ConfigError, PubSubError
from klio_dagster.ledger.in_flight import InFlight
from klio_dagster.pubsub.settings import Settings, topic_path
from klio_dagster.store.inbox import Batch
from klio_dagster.store.store import Store

JOB_TAG = "klio/job"
WAITED_TAG = "klio/waited"
_OUTBOX_S = 20.0  # a run has work of its own to do


class Postman(Protocol):
    """What knows Pub/Sub's settings: `KlioPubSubResource`."""

    def settings(self) -> Settings:
        """Where Pub/Sub is."""
        ...

    def publisher(self) -> Post:
        """What publishes."""
        ...


def outbox_of(group: EntityGroup, config: KlioRunConfig) -> str:
    """What a claim says of passing on; of a batch's run the batch says it."""
    is_asked = config.manifest is not None and Batch.at(config.manifest) is not None
    return group.name if group.publish_to is not None and not is_asked else ""


def job_of(group: EntityGroup, path: str) -> JobId:
    """Who a group is in messages.

    Args:
        group: the group.
        path: of its subscription or topic, `projects/<project>/...`.
    """
    return group.job or JobId(path.split("/")[1], group.name)


def parsed_job(text: str) -> JobId:
    """The job that a text names, `<project>::<job name>`.

    Raises:
        ConfigError: it names none.
    """
    project, _, name = text.partition("::")
    if not (project and name):
        raise ConfigError(f"{text!r} names no job", where="job", fix="write PROJECT::JOB")
    return JobId(project, name)


def telling(
    store: Store,
    group: EntityGroup,
    postman: Postman,
    *,
    warn: Callable[[str], None],
    job: JobId | None = None,
    sending: Sending | None = None,
) -> Telling:
    """What tells others of a group's entities.

    Args:
        store: the group's.
        group: the group.
        postman: where its messages go through.
        warn: takes a line on what is spoilt.
        job: who took the messages in.
        sending: to the group's topic, where there was one before; it knows how that is.

    Raises:
        ConfigError: the topic's name is wrong, or nobody says which project it is in.
    """
    topic = topic_path(postman.settings(), group.publish_to) if group.publish_to else None
    if job is None:
        # Without messages and a topic nobody is ever told who we are.
        job = job_of(group, topic) if topic else group.job or JobId("none", group.name)
    if sending is None and topic is not None:
        sending = Sending(topic, postman.publisher)
    return Telling(store=store, group=group.name, job=job, sending=sending, warn=warn)


def telling_of(
    context: dg.AssetExecutionContext, group: EntityGroup, store: Store, postman: Postman
) -> Telling:
    """What tells others of a run's entities; what was left in the outbox before goes first.

    Raises:
        ConfigError: the topic's name is wrong, or nobody says which project it is in.
    """
    told = context.run.tags.get(JOB_TAG)
    job = parsed_job(told) if told else None
    tells = telling(store, group, postman, warn=context.log.warning, job=job)
    error = tells.deliver_outbox(time.monotonic() + _OUTBOX_S)
    if error is not None:  # it does not stop the work
        context.log.warning(f"of what was recorded before: {error}")
    return tells


def passing_on(run: Run, wanted: Wanted, tells: Telling) -> PassingOn:
    """What passes on the messages of a run."""
    return PassingOn(
        group=run.group,
        telling=tells,
        work=wanted.batch.id if wanted.batch else run.work_id,
        batch=wanted.batch,
        asked=wanted.asked,
    )


def finish(run: Run, passing: PassingOn, plan: Plan, in_flight: InFlight) -> PubSubError | None:
    """Settle the batch, the last act of its run; what was not published, if anything."""
    waits_for: dict[str, set[str]] = {}
    for (_, entity), state in in_flight.pairs.items():
        waits_for.setdefault(entity, set()).add(state.claim.work_id)
    for receipt in in_flight.receipts:
        waits_for.setdefault(receipt.entity, set()).add(receipt.run)
    return passing.finish(plan, waits_for, when_waiting=lambda: _say_that_it_waited(run))


def _say_that_it_waited(run: Run) -> None:
    """A run that ends because others hold its entities is no attempt at them."""
    run.context.instance.add_run_tags(run.context.run.run_id, {WAITED_TAG: "true"})
