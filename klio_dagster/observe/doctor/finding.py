"""`Finding`: what a check found out about one thing, and what to do about it."""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from klio_dagster.errors import KlioError
from klio_dagster.store.url import hide_secrets

Figure = int | float | str | bool | None

_SECRET_NAME = re.compile(r"key|secret|token|password|signature|sas|credential", re.IGNORECASE)
_PASSWORD = re.compile(r"://[^:/@\s]*:([^@/\s]+)@")
_LEAST_SECRET = 6  # shorter ones are no secrets, and hiding `true` would hide half of what is said


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found out.

    Args:
        subject: of which kind the thing is: store, source, subscription, topic, database, engine
            or libraries.
        where: the thing itself: a URL, the full path of a topic, a folder.
        what: was looked at, in a word or two.
        verdict: how bad it is.
        said: what was found; may be empty where all is well.
        remedy: what the reader should do; empty where all is well.
        figures: what was measured, the unit in the name.
    """

    subject: str
    where: str
    what: str
    verdict: Verdict = Verdict.OK
    said: str = ""
    remedy: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict[str, Figure])

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "subject": self.subject,
            "where": self.where,
            "what": self.what,
            "verdict": self.verdict.value,
            "said": self.said,
            "remedy": self.remedy,
            "figures": dict(self.figures),
        }

    def without(self, secrets: Collection[str]) -> "Finding":
        """The same without credentials, those of URLs and those that are named.

        Args:
            secrets: texts that must not be shown.
        """

        def hidden(text: str) -> str:
            for secret in secrets:
                text = text.replace(secret, "…")
            return " ".join(hide_secrets(text).split())

        return replace(
            self, where=hidden(self.where), said=hidden(self.said), remedy=hidden(self.remedy)
        )

    def at_most(self, verdict: Verdict, because: str) -> "Finding":
        """The same, no worse than this.

        Args:
            verdict: how bad it is at most.
            because: why, for people.
        """
        if list(Verdict).index(self.verdict) <= list(Verdict).index(verdict):
            return self
        return replace(self, verdict=verdict, said=f"{self.said} ({because})")


@dataclass(frozen=True, slots=True)
class About:
    """What findings are about; makes them.

    Args:
        subject: of which kind the thing is.
        where: the thing itself.
    """

    subject: str
    where: str

    def ok(self, what: str, said: str = "", **figures: Figure) -> Finding:
        """All is well."""
        return Finding(
            subject=self.subject, where=self.where, what=what, said=said, figures=figures
        )

    def warn(self, what: str, said: str, remedy: str, **figures: Figure) -> Finding:
        """It works, and is not as it should be."""
        return Finding(
            subject=self.subject,
            where=self.where,
            what=what,
            verdict=Verdict.WARN,
            said=said,
            remedy=remedy,
            figures=figures,
        )

    def fail(self, what: str, said: str, remedy: str, **figures: Figure) -> Finding:
        """It does not work."""
        return Finding(
            subject=self.subject,
            where=self.where,
            what=what,
            verdict=Verdict.FAIL,
            said=said,
            remedy=remedy,
            figures=figures,
        )

    def failed(self, what: str, error: KlioError) -> Finding:
        """What an error of ours says: it names the place itself where that is another one."""
        is_elsewhere = self.where not in error.where
        said = f"{error.where}: {error.what}" if is_elsewhere else error.what
        return self.fail(what, said, error.fix)


def secrets_in(options: Mapping[str, str]) -> list[str]:
    """The values of a store's options, or of the environment, that nobody is to see.

    The name of a file is none.
    """
    named = [value for name, value in options.items() if _SECRET_NAME.search(name)]
    in_urls = [match[1] for value in options.values() for match in _PASSWORD.finditer(value)]
    return [
        value
        for value in (*named, *in_urls)
        if len(value) >= _LEAST_SECRET and not os.path.exists(value)
    ]
