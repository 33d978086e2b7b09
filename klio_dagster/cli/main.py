"""The `klio` command: its group, its exit codes, and every error as one line."""

import gc
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from klio_dagster.cli.ending import SOME_FAILED, USAGE, ending
from klio_dagster.core.wording import close_to
from klio_dagster.version import __version__

# Where each command is, and what `klio --help` says of it: asked for that, no command is loaded,
# because most of them load Dagster.
COMMANDS = {
    "entities": ("klio_dagster.cli.entities", "The catalogue: sync, add, list; take down."),
    "run": ("klio_dagster.cli.run", "Compute what is missing, failed or stale."),
    "plan": ("klio_dagster.cli.plan", "Show what a run would do, and why."),
    "explain": ("klio_dagster.cli.explain", "Show what a run would do with one entity, and why."),
    "status": ("klio_dagster.cli.status", "Count what is materialized, failed, missing, stale."),
    "failures": ("klio_dagster.cli.status", "What failed and why, grouped by error."),
    "dead-letter": ("klio_dagster.cli.dead_letter", "Messages given up: list, show, replay, drop."),
    "view": ("klio_dagster.cli.view", "See and hear the tracks on a page of this machine."),
    "message": ("klio_dagster.cli.message", "Ask for entities through Pub/Sub: publish."),
    "gc": ("klio_dagster.cli.gc", "Remove what nobody needs any more."),
    "image": ("klio_dagster.cli.image", "What remote workers are given: build, packages."),
    "doctor": ("klio_dagster.cli.doctor", "See whether all that is configured can be used."),
    "dev": ("klio_dagster.cli.dev", "Open Dagster's UI on this project."),
}


class Commands(click.Group):
    """Loads a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of a first day."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command itself."""
        if cmd_name not in COMMANDS:
            return None
        return getattr(import_module(COMMANDS[cmd_name][0]), cmd_name.replace("-", "_"))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is named first.

        Raises:
            UsageError: there is none of that name.
        """
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            close = close_to(args[0], COMMANDS)
            meant = f" Did you mean '{close}'?" if close else ""
            raise click.UsageError(f"No such command '{args[0]}'.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The table of commands, without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 some entities failed or wait, 2 usage or configuration. "
    "Example: klio entities sync && klio run",
)
@click.version_option(__version__, prog_name="klio")
@click.option("--debug", is_flag=True, help="Show the traceback of an error, and Dagster's log.")
@click.pass_context
def klio(context: click.Context, debug: bool) -> None:
    """Audio pipelines as Dagster assets: what is done is not done again."""
    context.meta["debug"] = debug


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: those of the command line when None.

    Returns:
        The exit code: 0, 1 (some entities failed or wait), 2 (usage or configuration), 130.
    """
    gc.disable()  # a fifth of the start-up; `open_project` enables it again
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        return klio.main(given, prog_name="klio", standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()  # the whole of it: whoever gives no command does not know them
        return USAGE
    except BrokenPipeError:
        # `klio ... | head`: nobody reads on. Python would complain once more at its end.
        sys.stderr.close()
        return SOME_FAILED
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the edge: it is one line
        return _end(error, debug)
    finally:
        gc.enable()


def _end(error: BaseException, debug: bool) -> int:
    if debug and not isinstance(error, KeyboardInterrupt | click.Abort):
        import traceback

        traceback.print_exc()
    line, code = ending(error, debug=debug)
    sys.stderr.write(line + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
