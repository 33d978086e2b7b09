"""The messages of a run: who it is in them, where they go, and what becomes of its batch."""

from typing import Protocol

from klio_dagster.core.job import JobId
from klio_dagster.core.plan import Plan
from klio_dagster.defs.group import EntityGroup
from klio_dagster.defs.passing_on import PassingOn, Post
from klio_dagster.defs.requested import Wanted
from klio_dagster.defs.run import Run
from klio_dagster.defs.run_config import KlioRunConfig
from klio_dagster.errors import ConfigError, PubSubError
from klio_dagster.ledger.in_flight import InFlight
from klio_dagster.pubsub.settings import Settings, topic_path
from klio_dagster.store.inbox import Batch
from klio_dagster.store.store import Store

JOB_TAG = "klio/job"
WAITED_TAG = "klio/waited"


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


def passing(
    store: Store,
    group: EntityGroup,
    postman: Postman,
    *,
    work: str,
    wanted: Wanted,
    job: JobId | None = None,
) -> PassingOn:
    """What passes on the messages of a run, or of a batch that needs none.

    Args:
        store: the group's.
        group: the group.
        postman: where its messages go through.
        work: work id of the run.
        wanted: what was asked for.
        job: who took the messages in.

    Raises:
        ConfigError: the topic's name is wrong, or nobody says which project it is in.
    """
    topic = topic_path(postman.settings(), group.publish_to) if group.publish_to else None
    if job is None:
        # Without messages and a topic nobody is ever told who we are.
        job = job_of(group, topic) if topic else group.job or JobId("none", group.name)
    return PassingOn(
        store=store,
        group=group,
        job=job,
        post=postman.publisher,
        topic=topic,
        work=wanted.batch.id if wanted.batch else work,
        batch=wanted.batch,
        asked=wanted.asked,
    )


def passing_on(run: Run, wanted: Wanted, postman: Postman) -> PassingOn:
    """What passes on the messages of a run.

    Raises:
        ConfigError: the topic's name is wrong, or nobody says which project it is in.
    """
    told = run.context.run.tags.get(JOB_TAG)
    job = parsed_job(told) if told else None
    return passing(run.store, run.group, postman, work=run.work_id, wanted=wanted, job=job)


def deliver_outbox(run: Run, passing: PassingOn) -> None:
    """Pass on what runs had recorded that died; a topic out of order does not stop the work."""
    try:
        passing.deliver_outbox()
    except (PubSubError, ConfigError) as error:
        run.context.log.warning(f"{error}; what dead runs recorded stays in the outbox")


def finish(run: Run, passing: PassingOn, plan: Plan, in_flight: InFlight) -> None:
    """Settle the batch: the last act of its run."""
    waits_for: dict[str, set[str]] = {}
    for (_, entity), state in in_flight.pairs.items():
        waits_for.setdefault(entity, set()).add(state.claim.work_id)
    for receipt in in_flight.receipts:
        waits_for.setdefault(receipt.entity, set()).add(receipt.run)
    passing.finish(plan, waits_for, when_waiting=lambda: _say_that_it_waited(run))


def _say_that_it_waited(run: Run) -> None:
    """A run that ends because others hold its entities is no attempt at them."""
    run.context.instance.add_run_tags(run.context.run.run_id, {WAITED_TAG: "true"})
