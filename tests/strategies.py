"""Hypothesis strategies that several rooms' tests share."""

import unicodedata
from collections.abc import Callable

from hypothesis import strategies as st

from klio_dagster.core.ids import escape, id_problem

HOSTILE_IDS = (
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\Windows",
    ".hidden",
    "trailing.",
    "a..b",
    " leading and trailing ",
    "a/b//c/",
    "%2e%2e%2f",
    "take#1",
    "a+/b",
    "{entity}",
    "*",
    "~root",
    "$HOME `id` 'quoted' \"twice\"",
    "TRACK",
    "İstanbul",
    "Straße",
    "ﬁlm",
    "K",  # KELVIN SIGN, which folds to k
    "é",
    "e\u0301",
    "日本語",
    "🎧",
    "A" * 256,
    "a" * 256,
    "é" * 128,
    "." + "a." * 100,
    "a" * 199 + "." + "b" * 56,
)


def _is_allowed(entity_id: str) -> bool:
    return id_problem(entity_id) is None


entity_ids = st.one_of(
    st.sampled_from(HOSTILE_IDS),
    st.from_regex(r"[a-z0-9_.-]{1,40}", fullmatch=True),
    st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=64),
    st.text("aA.%2F+/é #", min_size=1, max_size=256),
).filter(_is_allowed)
"""Ids we accept, hostile ones often among them."""

_LOOKALIKES: tuple[Callable[[str], str], ...] = (
    str.lower,
    str.upper,
    str.swapcase,
    str.casefold,
    str.strip,
    escape,
    lambda s: unicodedata.normalize("NFC", s),
    lambda s: unicodedata.normalize("NFD", s),
    lambda s: unicodedata.normalize("NFKC", s),
    lambda s: unicodedata.normalize("NFKD", s),
    lambda s: s.replace("/", ""),
    lambda s: s + ".",
    lambda s: s + "+",
)

lookalike_ids = (
    st.tuples(entity_ids, st.sampled_from(_LOOKALIKES))
    .map(lambda pair: (pair[0], pair[1](pair[0])))
    .filter(lambda pair: pair[0] != pair[1] and _is_allowed(pair[1]))
)
"""Two different ids that a careless escaping would give one path."""
