"""Entity ids: what is refused, and that their paths keep every promise."""

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.core.ids import check_id, escape, id_problem, unescape
from klio_dagster.errors import InvalidEntityIdError
from tests.strategies import HOSTILE_IDS, entity_ids, lookalike_ids

FOLDINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda path: path,
    "case folded": str.casefold,
    "lower case": str.lower,
    "upper case": str.upper,
    "NFC": lambda path: unicodedata.normalize("NFC", path),
    "NFD": lambda path: unicodedata.normalize("NFD", path),
    "NFKC": lambda path: unicodedata.normalize("NFKC", path),
}


@pytest.mark.parametrize(
    ("entity_id", "reason"),
    [
        pytest.param("", "empty", id="empty"),
        pytest.param("a\0b", "control character", id="nul"),
        pytest.param("a\nb", "control character", id="line feed"),
        pytest.param("a\x7fb", "control character", id="delete"),
        pytest.param("a\x85b", "control character", id="next line"),
        pytest.param("a...b", "'...'", id="three dots"),
        pytest.param("a....b", "'...'", id="four dots"),
        pytest.param("x" * 257, "257 bytes", id="one byte too many"),
        pytest.param("x" * 300, "300 bytes", id="300 bytes"),
        pytest.param("é" * 129, "258 bytes", id="258 bytes in 129 characters"),
        pytest.param("   ", "white space", id="only spaces"),
        pytest.param("\u2003\u00a0", "white space", id="only wide spaces"),
        pytest.param("a\ud800b", "surrogate", id="lone surrogate"),
        pytest.param("gpj.\u202eflac", "bidirectional", id="right-to-left override"),
        pytest.param("a\u2066b", "bidirectional", id="isolate"),
        pytest.param("a\u200fb", "bidirectional", id="right-to-left mark"),
    ],
)
def test_an_id_that_cannot_be_used_is_refused_with_its_reason(entity_id: str, reason: str):
    problem = id_problem(entity_id)

    assert problem is not None
    assert reason in problem
    with pytest.raises(InvalidEntityIdError, match="entity '") as caught:
        check_id(entity_id)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("entity_id", HOSTILE_IDS)
def test_a_strange_but_harmless_id_is_allowed(entity_id: str):
    assert check_id(entity_id) == entity_id


@pytest.mark.parametrize(
    ("entity_id", "path"),
    [
        pytest.param("track-01_b.live", "track-01_b.live", id="plain"),
        pytest.param("../../etc/passwd", "%2E%2E%2F.%2E%2Fetc%2Fpasswd", id="parent folders"),
        pytest.param("/etc/passwd", "%2Fetc%2Fpasswd", id="absolute"),
        pytest.param("Ärger #1", "%C3%84rger%20%231", id="capital, space, hash"),
        pytest.param(".a", "%2Ea", id="leading dot"),
        pytest.param("a.", "a%2E", id="trailing dot"),
        pytest.param("100%", "100%25", id="percent"),
    ],
)
def test_a_person_can_read_the_path_of_an_entity(entity_id: str, path: str):
    assert escape(entity_id) == path
    assert unquote(path) == entity_id


@given(entity_ids)
def test_a_path_leads_back_to_its_entity(entity_id: str):
    assert unescape(escape(entity_id)) == entity_id


@pytest.mark.parametrize("fold", FOLDINGS.values(), ids=FOLDINGS.keys())
@given(pair=st.one_of(lookalike_ids, st.tuples(entity_ids, entity_ids)))
def test_two_tracks_never_share_a_file_whatever_the_file_system_folds(
    pair: tuple[str, str], fold: Callable[[str], str]
):
    one, other = pair

    if one != other:
        assert fold(escape(one)) != fold(escape(other))


@given(one=entity_ids, other=entity_ids)
def test_a_file_never_stands_where_another_entity_needs_a_folder(one: str, other: str):
    folders = escape(other).split("/")[:-1]

    assert all(folder.endswith("+") for folder in folders)
    assert not escape(one).endswith("+")


@given(entity_ids)
def test_no_id_leads_out_of_the_store(entity_id: str):
    path = escape(entity_id)

    assert path.isascii()
    assert not path.startswith("/")
    assert ".." not in path
    assert all(part and part[0] != "." and part[-1] != "." for part in path.split("/"))


@given(entity_ids)
def test_names_and_keys_stay_within_what_file_systems_and_buckets_take(entity_id: str):
    path = escape(entity_id)

    assert max(map(len, path.split("/"))) <= 200
    assert len("a" * 100 + "/" + path + ".parquet") < 1000


@pytest.mark.parametrize(
    "entity_id",
    [
        pytest.param("A" * 256, id="escapes of three bytes"),
        pytest.param("é" * 128, id="escapes of six bytes"),
        pytest.param("a" * 198 + "%" * 58, id="cut behind a percent sign"),
        pytest.param("a" * 197 + "日本", id="cut inside hexadecimal digits"),
        pytest.param("a" * 196 + "%.bcd", id="cut before a dot"),
    ],
)
def test_a_long_name_is_never_cut_inside_an_escape(entity_id: str):
    parts = escape(entity_id).split("/")

    assert len(parts) > 1
    assert all(re.fullmatch(r"(?:%[0-9A-F]{2}|[^%])+", part) for part in parts)
    assert not any(part.startswith(".") for part in parts)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("Track", id="capital that should be escaped"),
        pytest.param("a%2fb", id="small hexadecimal"),
        pytest.param("a%61", id="escape that is not needed"),
        pytest.param("a%", id="torn escape"),
        pytest.param("%FF", id="no UTF-8"),
        pytest.param("x/y", id="foreign folder"),
        pytest.param("x+/y", id="folder that is not needed"),
        pytest.param("a..b", id="two dots"),
        pytest.param("a" * 201, id="too long for one name"),
        pytest.param("", id="empty"),
    ],
)
def test_a_foreign_file_is_not_taken_for_an_entity(path: str):
    with pytest.raises(InvalidEntityIdError, match="not the escaped form"):
        unescape(path)


@pytest.mark.parametrize("entity_id", ["", "a\ud800b"], ids=["empty", "surrogate"])
def test_what_has_no_path_is_refused_and_not_guessed(entity_id: str):
    with pytest.raises(InvalidEntityIdError):
        escape(entity_id)
