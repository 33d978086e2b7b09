"""What users write as a store, and that no password is ever shown."""

from pathlib import Path

import pytest

from klio_dagster.errors import ConfigError
from klio_dagster.store.url import StoreUrl, hide_secrets


@pytest.mark.parametrize(
    ("url", "text"),
    [
        pytest.param("./data", "/project/data", id="relative"),
        pytest.param("data/../other/", "/project/other", id="parent inside"),
        pytest.param("/var/data", "/var/data", id="absolute"),
        pytest.param("file:///var/my%20data", "/var/my data", id="file URL"),
        pytest.param("gs://bucket/a/b/", "gs://bucket/a/b", id="bucket and folder"),
        pytest.param("GS://bucket", "gs://bucket", id="bucket alone"),
        pytest.param("az://container/a", "az://container/a", id="container"),
        pytest.param("memory://", "memory://", id="memory"),
    ],
)
def test_a_store_has_one_canonical_url_that_opens_it_again(url: str, text: str):
    parsed = StoreUrl.parse(url, base=Path("/project"))

    assert str(parsed) == text
    assert StoreUrl.parse(text, base=Path("/elsewhere")) == parsed


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("", id="empty"),
        pytest.param("   ", id="spaces"),
        pytest.param("a\0b", id="nul"),
        pytest.param("http://host/x", id="unknown scheme"),
        pytest.param("gs://", id="no bucket"),
        pytest.param("gs:///a", id="no bucket but a path"),
        pytest.param("gs://bucket/a/../b", id="parent in a bucket"),
        pytest.param("file://host/a", id="file on a host"),
        pytest.param("gs://user:hunter2@bucket", id="credentials where none belong"),
        pytest.param("s3://user:hun/ter2@bucket", id="slash in a password"),
        pytest.param("ftp://user:hunter2@host?key=hunter2", id="credentials, unknown scheme"),
    ],
)
def test_what_is_no_store_is_refused_in_one_line_without_its_password(url: str):
    with pytest.raises(ConfigError, match="store '") as caught:
        StoreUrl.parse(url)

    assert len(str(caught.value).splitlines()) == 1
    assert "hunter2" not in str(caught.value)
    assert "ter2" not in str(caught.value)


def test_credentials_in_a_url_are_used_and_never_shown():
    parsed = StoreUrl.parse("s3://key:hunter2@bucket/a?region=eu-north-1&token=hunter2")

    assert parsed.options == {
        "access_key_id": "key",
        "secret_access_key": "hunter2",
        "region": "eu-north-1",
        "token": "hunter2",
    }
    assert "hunter2" not in repr(parsed) + str(parsed) + parsed.text


def test_signatures_in_a_library_s_message_are_hidden_and_file_names_are_not():
    shown = hide_secrets("GET https://u:pw@host/a?sig=pw failed; /music/what?.flac a@b.flac")

    assert shown == "GET https://…host/a… failed; /music/what?.flac a@b.flac"
