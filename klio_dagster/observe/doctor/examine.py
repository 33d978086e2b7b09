"""`examine`: checks side by side, each within its time, each ending in findings."""

import threading
import time
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field

from klio_dagster.errors import KlioError
from klio_dagster.observe.doctor.finding import About, Finding

_TO_CLEAN_UP_S = 3.0

Look = Callable[[], Generator[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at.

    Args:
        about: what it is.
        what: is looked at, said where nothing else can be.
        look: yields findings, soon after one another. It may be closed after any of them, and
            cleans up then. What it raises becomes a finding.
        needs_s: how long it may take where that is longer than the others may, in seconds: several
            processes one after the other, each within its own time.
    """

    about: About
    what: str
    look: Look
    needs_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Examined:
    """What all checks found.

    Args:
        findings: in the order of the checks.
        hangs: some check did not come back, and its thread is still there.
    """

    findings: Sequence[Finding]
    hangs: bool


@dataclass(slots=True)
class _Running:
    check: Check
    within_s: float
    found: list[Finding] = field(default_factory=list[Finding])
    is_told_to_stop: threading.Event = field(default_factory=threading.Event)
    has_stopped: bool = False
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        # A daemon: a call that never comes back must not keep the process.
        self.thread = threading.Thread(target=self._run, name="klio-doctor", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        about, what = self.check.about, self.check.what
        try:
            looking = self.check.look()
            try:
                for finding in looking:
                    self.found.append(finding)
                    if self.is_told_to_stop.is_set():
                        self.has_stopped = True
                        break
            finally:
                looking.close()
        except KlioError as error:
            self.found.append(about.failed(what, error))
        except Exception as error:  # noqa: BLE001 - a broken check is a finding, not the end
            said = f"unexpected {type(error).__name__}: {error}"
            self.found.append(about.fail(what, said, "report it with this line"))


def examine(
    checks: Sequence[Check],
    *,
    within_s: float,
    secrets: Collection[str] = (),
    to_clean_up_s: float = _TO_CLEAN_UP_S,
) -> Examined:
    """Run checks, all at the same time.

    Args:
        checks: what to look at.
        within_s: how long each may take that does not need longer, in seconds, > 0.
        secrets: texts that must not be shown.
        to_clean_up_s: how much longer one may take to clean up when its time is over.
    """
    started = time.monotonic()
    running = [_Running(check, max(within_s, check.needs_s)) for check in checks]
    try:
        for each in sorted(running, key=lambda each: each.within_s):
            each.thread.join(max(0.0, started + each.within_s - time.monotonic()))
            each.is_told_to_stop.set()
    finally:  # also when the user has no patience left
        for each in running:
            each.is_told_to_stop.set()
        ends_at = time.monotonic() + to_clean_up_s
        for each in running:
            each.thread.join(max(0.0, ends_at - time.monotonic()))
    findings: list[Finding] = []
    for each in running:
        hangs = each.thread.is_alive()
        found = list(each.found)  # of one that hangs: what it has found so far
        if hangs or each.has_stopped:
            found.append(_cut_off(each, has_found=bool(found)))
        findings += (finding.without(secrets) for finding in found)
    return Examined(findings, any(each.thread.is_alive() for each in running))


def _cut_off(running: _Running, *, has_found: bool) -> Finding:
    said = "did not go on" if has_found else "no answer"
    check, within_s = running.check, running.within_s
    return check.about.fail(
        check.what,
        f"{said} within {within_s:g} s",
        "see that it answers and is not overloaded, or give it longer with --timeout",
        within_s=within_s,
    )
