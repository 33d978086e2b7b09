"""Whether messages can come and go: subscriptions that are pulled from, topics that are told."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from klio_dagster.core.wording import counted
from klio_dagster.errors import KlioError
from klio_dagster.observe.doctor.examine import Check
from klio_dagster.observe.doctor.finding import About, Finding, Verdict
from klio_dagster.pubsub.look import Looker, NotShownError, SubscriptionFacts
from klio_dagster.pubsub.settings import Settings, subscription_path, topic_path

_ANSWER_WITHIN_S = 6.0
_DAY_S = 86_400.0
_LEAST_RETENTION_S = _DAY_S
_LEAST_LIFE_S = 7 * _DAY_S
_LONG_DEADLINE_S = 300
_FEW_ATTEMPTS = 20
_RESTS = "its sensor is not switched on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A sensor that pulls.

    Args:
        sensor: its name.
        subscription: short name or full path.
        settings: gives those of Pub/Sub; what they say wrong is a finding.
        is_on: whether Dagster's daemon is to tick it.
    """

    sensor: str
    subscription: str
    settings: Callable[[], Settings]
    is_on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A topic that we publish on.

    Args:
        group: whose entities it is told of, or whose input is asked for there.
        topic: short name or full path.
        settings: gives those of Pub/Sub; what they say wrong is a finding.
    """

    group: str
    topic: str
    settings: Callable[[], Settings]


def message_checks(listeners: Sequence[Listener], told: Sequence[Told]) -> list[Check]:
    """What is to be looked at.

    Args:
        listeners: the message sensors.
        told: each topic, for each group.
    """
    by_subscription: dict[str, list[Listener]] = {}
    for each in listeners:
        path = _path(subscription_path, each.settings, each.subscription)
        by_subscription.setdefault(path, []).append(each)
    topics = {_path(topic_path, each.settings, each.topic): each for each in told}
    return [
        *(
            Check(About("subscription", path), "look", lambda those=those: _subscription(those))
            for path, those in by_subscription.items()
        ),
        *(
            Check(About("topic", path), "look", lambda each=each: _topic(each))
            for path, each in topics.items()
        ),
    ]


def _path(path: Callable[[Settings, str], str], settings: Callable[[], Settings], name: str) -> str:
    """The full path: a name is another thing in another project. What is wrong is told later."""
    try:
        return path(settings(), name)
    except KlioError:
        return name


def _subscription(listeners: Sequence[Listener]) -> Generator[Finding]:
    """What is found; no failure where nobody listens: then nothing is missed."""
    is_on = any(each.is_on for each in listeners)
    for finding in _of_subscription(listeners):
        yield finding if is_on else finding.at_most(Verdict.WARN, _RESTS)


def _of_subscription(listeners: Sequence[Listener]) -> Generator[Finding]:
    first = listeners[0]
    about = About("subscription", first.subscription)
    try:
        looker = Looker(first.settings(), "subscription", first.subscription, _ANSWER_WITHIN_S)
    except KlioError as error:
        yield about.failed("name", error)
        return
    about = About("subscription", looker.path)
    if len(listeners) > 1:
        names = ", ".join(each.sensor for each in listeners)
        said = f"{counted(len(listeners), 'sensor')} pull from it ({names}): each gets a part"
        yield about.warn("sensors", said, "give each sensor a subscription of its own")
    try:
        facts = looker.subscription()
    except NotShownError as error:
        said = f"its settings are not shown to us: {error.what}"
        yield about.warn("exists", said, error.fix)
    except KlioError as error:
        yield about.failed("exists", error)
        return
    else:
        yield from _set_up(about, looker, facts)
    yield _permitted(about, looker)


def _set_up(about: About, looker: Looker, facts: SubscriptionFacts) -> Generator[Finding]:
    traits = {
        "exactly once": facts.is_exactly_once,
        "ordered": facts.is_ordered,
        f"only messages with {facts.filter}": bool(facts.filter),
    }
    traits_said = "".join(f", {trait}" for trait, has_it in traits.items() if has_it)
    if not facts.topic:
        remedy = "delete it and create it again on a topic"
        yield about.fail("exists", "its topic was deleted: nothing will come", remedy)
    else:
        yield about.ok("exists", f"on {facts.topic}{traits_said}", topic=facts.topic)
    if facts.is_pushed:
        said = "its messages are pushed elsewhere: nothing can be pulled"
        remedy = f"create one that is pulled from, or {looker.gcloud('--push-endpoint=')}"
        yield about.fail("delivery", said, remedy)
    yield _deadline(about, looker, facts)
    yield _retention(about, looker, facts)
    if facts.dead_letter_topic:
        yield _dead_letters(about, looker, facts)


def _deadline(about: About, looker: Looker, facts: SubscriptionFacts) -> Finding:
    figures = {"ack_deadline_s": facts.ack_deadline_s}
    said = f"{facts.ack_deadline_s} s"
    if facts.ack_deadline_s <= _LONG_DEADLINE_S:
        return about.ok("deadline", said, **figures)
    said = f"{said}: so long nothing comes again that a killed tick had pulled"
    remedy = f"{looker.gcloud('--ack-deadline=60')}; a tick extends what it holds by itself"
    return about.warn("deadline", said, remedy, **figures)


def _retention(about: About, looker: Looker, facts: SubscriptionFacts) -> Finding:
    figures = {"retention_s": facts.retention_s, "expires_after_s": facts.expires_after_s}
    if 0 < facts.retention_s < _LEAST_RETENTION_S:
        said = f"messages are lost when the daemon stands still for {_long(facts.retention_s)}"
        remedy = looker.gcloud("--message-retention-duration=7d")
        return about.warn("retention", said, remedy, **figures)
    if 0 < facts.expires_after_s < _LEAST_LIFE_S:
        said = f"it is deleted when nobody pulls for {_long(facts.expires_after_s)}"
        return about.warn("retention", said, looker.gcloud("--expiration-period=never"), **figures)
    return about.ok("retention", _long(facts.retention_s), **figures)


def _dead_letters(about: About, looker: Looker, facts: SubscriptionFacts) -> Finding:
    most, topic = facts.max_delivery_attempts, facts.dead_letter_topic
    said = f"after {most} deliveries Pub/Sub moves a message to {topic}"
    figures = {"max_delivery_attempts": most}
    if most >= _FEW_ATTEMPTS:
        return about.ok("dead letters", said, **figures)
    said = f"{said}, where no sensor of ours sees it: a few ticks that cannot store it are enough"
    remedy = (
        f"{looker.gcloud('--clear-dead-letter-policy')} (what cannot be used is kept in the store:"
        f" klio dead-letter list), or {looker.gcloud('--max-delivery-attempts=100')}"
    )
    return about.warn("dead letters", said, remedy, **figures)


def _topic(told: Told) -> Generator[Finding]:
    about = About("topic", told.topic)
    try:
        looker = Looker(told.settings(), "topic", told.topic, _ANSWER_WITHIN_S)
    except KlioError as error:
        yield about.failed("name", error)
        return
    about = About("topic", looker.path)
    try:
        if looker.has_schema():
            said = "it takes messages of a schema only, and may refuse Klio's"
            yield about.warn("exists", said, "publish to a topic without a schema")
        else:
            yield about.ok("exists")
    except NotShownError:
        pass  # publishing does not need that; whether it is there, the next line tells
    except KlioError as error:
        yield about.failed("exists", error)
        return
    yield _permitted(about, looker)


def _permitted(about: About, looker: Looker) -> Finding:
    try:
        is_kept = looker.check_permitted()
    except KlioError as error:
        return about.failed("permitted", error)
    return about.ok("permitted", "" if is_kept else "nobody asks for permission here")


def _long(seconds: float) -> str:
    days, hours = seconds / _DAY_S, seconds / 3600
    return f"{days:g} days" if days >= 1 else f"{hours:.3g} hours"
