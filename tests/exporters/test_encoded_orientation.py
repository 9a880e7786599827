"""The EXIF orientation in a graph, against Pillow's."""

import struct

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.data import orientation
from ssl_tf.exporters.encoded_orientation import orientation_of
from tests.data.tiny_images import png
from tests.preparation.odd_files import JPEG, SMOOTH, exif, saved

found = tf.function(orientation_of, input_signature=[tf.TensorSpec([], tf.string)])


def jpeg(content: bytes) -> bytes:
    return saved(SMOOTH, "jpeg", exif=content)


def several(order: str, *entries: tuple[int, int, int, int]) -> bytes:
    """EXIF of some entries (tag, type, count, value)."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = struct.pack(f"{order}IH", 8, len(entries))
    packed = b"".join(
        struct.pack(f"{order}HHI", tag, kind, count)
        + struct.pack(f"{order}H" if kind == 3 else f"{order}I", number).ljust(4, b"\0")
        for tag, kind, count, number in entries
    )
    return b"Exif\0\0" + mark + head + packed + bytes(4)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("turn", range(10))
def test_every_turn_in_both_orders(turn, order):
    content = jpeg(exif(turn, order))
    expected = turn if 1 <= turn <= 8 else 1
    assert found(content).numpy() == orientation.in_head(content) == expected


@pytest.mark.filterwarnings("ignore")
def test_a_png_has_it_in_a_chunk_which_may_stand_behind_the_pixels():
    content = saved(SMOOTH, "png", exif=exif(6))
    place = content.index(b"eXIf") - 4
    chunk = content[place : place + 12 + int.from_bytes(content[place : place + 4], "big")]
    marked = content.replace(b"eXIf", b"eXIfExif\0\0")
    assert found(marked).numpy() == orientation.in_head(marked) == 6
    rest, end = content.replace(chunk, b""), len(content) - len(chunk) - 12
    for turned in (content, rest[:end] + chunk + rest[end:]):
        assert found(turned).numpy() == orientation.in_head(turned) == 6
    # Behind the end, or within another chunk, it is none.
    comment = struct.pack(">I", len(chunk)) + b"tEXt" + chunk + bytes(4)
    for other in (rest, rest + chunk, rest[:end] + comment + rest[end:], rest[:end]):
        assert found(other).numpy() == orientation.in_head(other) == 1
    # No decoder reads so many chunks of nothing.
    many = rest[:33] + orientation.MOST_CHUNKS * (bytes(4) + b"tEXt" + bytes(4)) + chunk + rest[33:]
    assert found(many).numpy() == orientation.in_head(many) == 1
    for length in range(8, place + len(chunk), 3):
        assert found(content[:length]).numpy() == orientation.in_head(content[:length])


@pytest.mark.parametrize("order", "<>")
def test_it_is_found_among_other_entries(order):
    width, turn, maker = (0x0100, 4, 1, 640), (0x0112, 3, 1, 6), (0x010F, 2, 9, 99)
    for entries in ((width, turn), (turn, width), (maker, width, turn), (width, maker)):
        content = jpeg(several(order, *entries))
        assert (
            found(content).numpy() == orientation.in_head(content) == (6 if turn in entries else 1)
        )
    content = jpeg(several(order, (0x0112, 4, 1, 8)))
    assert found(content).numpy() == orientation.in_head(content) == 8


def test_other_segments_and_fill_bytes_may_stand_before_it():
    content = jpeg(exif(6, "<"))
    start = content.index(b"Exif") - 4
    profile = b"\xff\xe2\xff\xff" + bytes(0xFFFD)
    for between in (3 * profile, b"\xff\xff\xff", b"\0\1", b"\xff\xe1\0\x08Other\0"):
        other = content[:start] + between + content[start:]
        assert found(other).numpy() == orientation.in_head(other) == 6
    # What the pixels hold is none.
    scan = content.index(b"\xff\xda")
    late = content[:start] + content[scan : scan + 20] + content[start:]
    assert found(late).numpy() == orientation.in_head(late) == 1


@pytest.mark.filterwarnings("ignore")
def test_a_file_that_is_cut_anywhere_is_read_as_pillow_reads_it():
    content = jpeg(several("<", (0x0100, 4, 1, 640), (0x0112, 3, 1, 6)))
    turns = [int(found(content[:length])) for length in range(110)]
    # Arrays of bytes would lose the zeros at the end of what they hold.
    heads = [np.array(content[:length], object) for length in range(110)]
    assert turns == [orientation.in_head(head) for head in heads]
    assert set(turns) == {1, 6}


def test_damage_is_no_failure():
    random = np.random.default_rng(0)
    content = np.frombuffer(jpeg(exif(6, "<")), np.uint8)
    start = content.tobytes().index(b"Exif")
    for _ in range(200):
        damaged = content.copy()
        damaged[random.integers(start, start + 40, 3)] = random.integers(0, 256, 3)
        assert 1 <= int(found(damaged.tobytes())) <= 8


@pytest.mark.parametrize("content", [JPEG, b"", b"\xff\xd8", b"\xff\xd8Exif\0\0", png(0)])
def test_without_exif_it_is_1(content):
    assert found(content).numpy() == 1
