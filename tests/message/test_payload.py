import numpy as np
import pytest

from klio_dagster.errors import EntityError
from klio_dagster.message import Message, with_payload

RECEIVED = object()
MESSAGE = Message(entity_id="a", payload=b"before")


@pytest.mark.parametrize(
    ("returned", "payload"),
    [
        pytest.param(b"bytes", b"bytes", id="bytes"),
        pytest.param("é", b"\xc3\xa9", id="text"),
        pytest.param(RECEIVED, b"", id="what it received"),
        pytest.param(None, b"", id="nothing"),
        pytest.param(0, b"", id="zero"),
        pytest.param("", b"", id="empty text"),
        pytest.param(b"", b"", id="empty bytes"),
        pytest.param([], b"", id="an empty list"),
        pytest.param(np.zeros(0), b"", id="an empty array"),
    ],
)
def test_what_a_transform_returns_is_the_payload_by_klios_rules(returned, payload):
    assert with_payload(MESSAGE, returned, received=RECEIVED).payload == payload


@pytest.mark.parametrize(
    ("returned", "problem"),
    [
        pytest.param(7, "of type int", id="a number"),
        pytest.param([1], "of type list", id="a list"),
        pytest.param({"a": 1}, "of type dict", id="a dict"),
        pytest.param(np.zeros(3), "of type ndarray", id="an array"),
        pytest.param("\ud800", "not valid Unicode", id="text that has no UTF-8"),
    ],
)
def test_what_cannot_be_a_payload_is_the_entitys_failure(returned, problem):
    with pytest.raises(EntityError, match=f"^message of entity 'a': the payload is {problem}"):
        with_payload(MESSAGE, returned)


def test_the_payload_of_version_1_never_changes():
    message = Message(entity_id="a", version=1, payload=b"before")

    assert with_payload(message, b"after") is message
