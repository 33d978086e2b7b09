import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.codecs.hashing import data_version


@given(st.binary(), st.binary())
def test_different_bytes_have_different_versions(one, other):
    assert (data_version(one) == data_version(other)) == (one == other)


@pytest.mark.parametrize("data", [b"", b"klio"], ids=["empty", "some"])
def test_anybody_can_check_a_version_with_sha256sum(data):
    assert hashlib.sha256(data).hexdigest().startswith(data_version(data))
    assert len(data_version(data)) == 32
