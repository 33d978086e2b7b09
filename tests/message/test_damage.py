import os
import subprocess
import sys
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from klio_dagster.errors import MessageError
from klio_dagster.message import Limited, Message, decode, encode, new_message
from tests.message.messages import ME, messages

ROOT = Path(__file__).parents[2]
KLIO = encode(new_message("a", to=Limited((ME,))))


def _outcome(data, allow_non_klio):
    try:
        return decode(data, job=ME, allow_non_klio=allow_non_klio)
    except MessageError as error:
        return str(error)


@given(st.binary(max_size=60), st.booleans())
@example(b"\n\x80", False)
@example(b"\x0b" * 40_000, False)
def test_any_bytes_at_all_are_a_message_or_a_message_error(data, allow_non_klio):
    outcome = _outcome(data, allow_non_klio)

    assert isinstance(outcome, Message | str)


@given(messages(), st.data())
def test_a_damaged_message_is_a_message_or_a_message_error(message, data):
    damaged = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        if not damaged:
            break

    outcome = _outcome(bytes(damaged), data.draw(st.booleans()))

    assert isinstance(outcome, Message | str)
    if isinstance(outcome, Message):
        assert decode(encode(outcome), job=ME) == outcome


def test_protobuf_without_its_c_part_refuses_the_same_bytes():
    """Its parser is another one, and raises other exceptions."""
    asked = (
        "import random; from klio_dagster.core.job import JobId\n"
        "from klio_dagster.errors import MessageError\n"
        "from klio_dagster.message import decode\n"
        "from google.protobuf.internal import api_implementation\n"
        "assert api_implementation.Type() == 'python'\n"
        "draw, refused = random.Random(1), 0\n"
        f"seeds = [bytes.fromhex({KLIO.hex()!r}), b'123456789']\n"
        "for n in range(2000):\n"
        "    data = bytearray(draw.choice(seeds))\n"
        "    for _ in range(draw.randint(1, 4)):\n"
        "        data[draw.randrange(len(data))] = draw.randrange(256)\n"
        "    try: decode(bytes(data), job=JobId('p', 'j'), allow_non_klio=draw.random() < 0.5)\n"
        "    except MessageError: refused += 1\n"
        "print(refused)"
    )
    environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}

    done = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert 100 < int(done.stdout) < 2000
