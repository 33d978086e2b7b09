"""`klio message`: ask for entities through Pub/Sub, as Klio's command of that name does."""

import sys
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

import click

from klio_dagster.cli.listening import listening
from klio_dagster.cli.output import common, example, print_json, warn
from klio_dagster.cli.progress import progress_shown
from klio_dagster.cli.publishing import checked_ids, published
from klio_dagster.core.job import JobId
from klio_dagster.core.wording import counted
from klio_dagster.defs.messages import parsed_job
from klio_dagster.errors import ConfigError
from klio_dagster.message import ANYONE, Limited, Recipients, encode, new_message
from klio_dagster.pubsub.publish import Publisher
from klio_dagster.pubsub.settings import Settings, topic_path


class _Job(click.ParamType):
    name = "PROJECT::JOB"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> JobId:
        """The job of these words.

        Raises:
            BadParameter: they are none.
        """
        try:
            return parsed_job(str(value))
        except ConfigError as error:
            said = f"'{value}' is not of the form PROJECT::JOB"
            raise click.BadParameter(said, ctx, param) from error


class Destination(NamedTuple):
    """Where messages go.

    Args:
        topic: full path.
        job: who is to work on them; None when nobody is named in them.
        settings: where Pub/Sub is.
    """

    topic: str
    job: JobId | None
    settings: Settings


@click.group(epilog=example("klio message publish track-1 track-2"))
def message() -> None:
    """Ask for entities through Pub/Sub."""


@message.command(
    epilog=example(
        "klio message publish track-1 track-2 --job my-project::tracks"
        " --topic projects/my-project/topics/tracks",
        "klio message publish --from-file ids.txt --top-down"
        " --topic projects/my-project/topics/tracks",
    )
)
@click.argument("ids", nargs=-1)
@click.option(
    "--from-file",
    type=click.File("rb"),
    metavar="FILE",
    help="Entity ids, one a line, in UTF-8; - is stdin. Empty lines are skipped.",
)
@click.option("-f", "--force", is_flag=True, help="Compute even what is up to date.")
@click.option("-p", "--ping", is_flag=True, help="Compute nothing; only pass the messages on.")
@click.option(
    "-t", "--top-down", is_flag=True, help="Every job that the messages come to works on them."
)
@click.option(
    "-b", "--bottom-up", is_flag=True, help="Only the job itself works on them. The default."
)
@click.option(
    "-n", "--non-klio", is_flag=True, help="Send the bare ids, for jobs that allow such messages."
)
@click.option(
    "--topic",
    metavar="TOPIC",
    help="Where to publish: projects/PROJECT/topics/TOPIC, or TOPIC in GOOGLE_CLOUD_PROJECT."
    " Default: the topic of the project's Pub/Sub sensor.",
)
@click.option("--job", type=_Job(), help="Who is asked. Default: the job of that sensor.")
@click.option("--sensor", metavar="NAME", help="Which sensor of the project, if it has several.")
@click.option(
    "--message-version",
    type=click.IntRange(1, 2),
    default=2,
    help="Of Klio's format; 1 is for jobs of before. Default: 2.",
)
@common
def publish(
    ids: tuple[str, ...],
    from_file: BinaryIO | None,
    force: bool,
    ping: bool,
    top_down: bool,
    bottom_up: bool,
    non_klio: bool,
    topic: str | None,
    job: JobId | None,
    sensor: str | None,
    message_version: int,
    as_json: bool,
) -> int:
    """Publish a message for each entity id; done when Pub/Sub has confirmed all of them.

    An id that breaks the rules for ids is told with its line, and nothing is published. Exit code 1
    when some messages could not be published: they are listed, and may be published again, with the
    others or alone; what is up to date then is skipped.
    """
    _check_together(top_down, bottom_up, non_klio, force=force, ping=ping)
    to_anyone = top_down or non_klio
    destination = _destination(topic, job, sensor, is_job_needed=not to_anyone)
    to = Limited((destination.job,)) if destination.job and not to_anyone else ANYONE
    data_of = str.encode if non_klio else _klio_message(force, ping, to=to, version=message_version)
    publisher = Publisher(destination.settings)
    failed: list[dict[str, str]] = []
    with (
        checked_ids(ids, from_file) as entities,
        progress_shown(None if as_json else sys.stderr, "publish", first="checked") as watch,
    ):
        for entity, why in published(publisher, destination.topic, entities, data_of, watch):
            failed.append({"entity": entity, "error": str(why)})
    _tell(destination.topic, entities.count - len(failed), failed, as_json)
    return int(bool(failed))


def _check_together(
    top_down: bool, bottom_up: bool, non_klio: bool, *, force: bool, ping: bool
) -> None:
    """Refuse flags that contradict each other.

    Raises:
        UsageError: some do.
    """
    if top_down and bottom_up:
        raise click.UsageError("--top-down and --bottom-up exclude each other")
    if non_klio and (force or ping or bottom_up):
        raise click.UsageError("bare ids (--non-klio) carry no --force, --ping or --bottom-up")


def _klio_message(
    force: bool, ping: bool, *, to: Recipients, version: int
) -> Callable[[str], bytes]:
    def data_of(entity: str) -> bytes:
        return encode(new_message(entity, force=force, ping=ping, to=to, version=version))

    return data_of


def _destination(
    topic: str | None, job: JobId | None, sensor: str | None, *, is_job_needed: bool
) -> Destination:
    """What the options name, and what the project's sensor reads where they do not.

    Raises:
        ConfigError: neither says it, or there is no such topic.
    """
    if topic is None or (is_job_needed and job is None):
        found = listening(sensor, "--topic and --job" if is_job_needed else "--topic")
        full = topic_path(found.settings, topic) if topic else found.topic
        return Destination(full, job or found.job, found.settings)
    settings = Settings()
    return Destination(topic_path(settings, topic), job, settings)


def _tell(topic: str, count: int, failed: list[dict[str, str]], as_json: bool) -> None:
    if as_json:
        print_json({"topic": topic, "published": count, "failed": failed})
        return
    click.echo(f"{counted(count, 'message', 'messages')} published to {topic}")
    for each in failed:
        warn(f"not published: {each['entity']}: {each['error']}")
