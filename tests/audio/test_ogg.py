import io

import numpy as np

from klio_dagster.audio import ogg
from tests.audio.sounds import decoded, file_of, noisy_tone

DATA = file_of(noisy_tone(seconds=2.0), "OGG", "VORBIS")


def _pages(data: bytes) -> list[ogg.Page]:
    return list(ogg.pages(io.BytesIO(data)))


def test_the_pages_are_the_whole_file():
    pages = _pages(DATA)

    assert b"".join(page.data for page in pages) == DATA
    assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]


def test_the_checksum_is_the_one_libogg_writes():
    assert all(ogg.checksum(page.data) == page.checksum for page in _pages(DATA))


def test_a_new_serial_number_changes_nothing_else():
    renumbered = ogg.with_serial(io.BytesIO(DATA), 0x01020304)

    assert {page.serial for page in _pages(renumbered)} == {0x01020304}
    assert ogg.damage(io.BytesIO(renumbered)) is None
    assert np.array_equal(decoded(renumbered), decoded(DATA))
    assert ogg.with_serial(io.BytesIO(renumbered), _pages(DATA)[0].serial) == DATA


def test_every_changed_bit_is_found():
    random = np.random.default_rng(3)
    for at in random.integers(0, len(DATA), 50):
        broken = bytearray(DATA)
        broken[at] ^= 1 << int(random.integers(8))

        assert ogg.damage(io.BytesIO(bytes(broken))) is not None, at


def test_a_tag_after_the_last_page_is_no_damage():
    assert ogg.damage(io.BytesIO(DATA + b"TAG" + bytes(125))) is None
