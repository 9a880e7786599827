import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssl_tf.data.decoding import KnownImages, attempt, decode, decode_fast
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import UserError
from tests.data.tiny_images import picture, png


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def smooth(height: int = 24, width: int = 32) -> np.ndarray:
    """Three ramps, which JPEG keeps within a few grey levels."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 8, x * 7, 255 - x * 4 - y * 3], -1).astype(np.uint8)


def decoded(content: bytes, unreadable: UnreadableImages) -> dict:
    """The decoded record, the same eagerly and inside tf.data."""
    eager = decode({"id": tf.constant("a"), "image": tf.constant(content)}, unreadable)
    records = tf.data.Dataset.from_tensors({"id": "a", "image": content})
    mapped = records.map(lambda record: decode(record, unreadable))
    assert mapped.element_spec["image"].shape.as_list() == [None, None, 3]
    in_graph = next(mapped.as_numpy_iterator())
    for key, value in in_graph.items():
        np.testing.assert_array_equal(value, eager[key].numpy())
    return in_graph


COLOR = Image.fromarray(picture(0, 24, 32))
GREY = COLOR.convert("L")
REPEATED = np.repeat(np.array(GREY)[..., None], 3, -1)
# Alpha 0 hides the left half, whose stored colour is kept.
TRANSPARENT = COLOR.copy()
TRANSPARENT.putalpha(
    Image.fromarray(np.where(np.arange(32) > 16, 255, 0).astype(np.uint8)[None].repeat(24, axis=0))
)
DEEP = picture(1, 24, 32)[..., 0].astype(np.uint16) * 256 + 77
ANIMATION = [Image.fromarray(np.full((24, 32), level, np.uint8)) for level in (10, 200)]


@pytest.mark.parametrize(
    "content, expected",
    [
        (encoded(COLOR, "png"), np.array(COLOR)),
        (encoded(COLOR, "bmp"), np.array(COLOR)),
        (encoded(GREY, "png"), REPEATED),
        (encoded(COLOR.quantize(16), "png"), np.array(COLOR.quantize(16).convert("RGB"))),
        (encoded(COLOR.quantize(256), "bmp"), np.array(COLOR.quantize(256).convert("RGB"))),
        (encoded(COLOR.quantize(16), "bmp"), np.array(COLOR.quantize(16).convert("RGB"))),
        (encoded(GREY, "bmp"), REPEATED),
        (encoded(GREY.convert("1"), "bmp"), np.array(GREY.convert("1").convert("RGB"))),
        (encoded(Image.new("I;16", (32, 24)), "png"), np.zeros([24, 32, 3])),
        (encoded(TRANSPARENT, "png"), np.array(COLOR)),
        (encoded(TRANSPARENT.convert("LA"), "png"), REPEATED),
        (encoded(Image.fromarray(DEEP), "png"), np.repeat((DEEP // 256)[..., None], 3, -1)),
        (
            encoded(ANIMATION[0], "gif", save_all=True, append_images=ANIMATION[1:]),
            np.full((24, 32, 3), 10),
        ),
    ],
    ids=[
        "rgb",
        "bmp",
        "grey",
        "palette",
        "palette bmp",
        "16 colour bmp",
        "grey bmp",
        "1 bit bmp",
        "black 16 bit",
        "alpha",
        "grey alpha",
        "16 bit",
        "animation",
    ],
)
def test_lossless_formats(content, expected):
    unreadable = UnreadableImages(0)
    record = decoded(content, unreadable)
    np.testing.assert_array_equal(record["image"], expected)
    assert record["readable"] and record["image"].dtype == np.uint8 and unreadable.count == 0


TWELVE = encoded(Image.fromarray(DEEP >> 4), "png")


def test_12_bits_in_a_png_of_16_are_unreadable_and_told(capfd):
    record = decoded(TWELVE, UnreadableImages(1))
    assert not record["readable"]
    told = capfd.readouterr().err
    assert "cannot decode a (it has 16 bits a sample but uses the lower 12 alone; scale" in told
    one_more = encoded(Image.fromarray((DEEP >> 4) + 2**12), "png")
    record = decoded(one_more, UnreadableImages(0))
    expected = np.repeat(((DEEP >> 4) + 2**12)[..., None] // 256, 3, -1)
    np.testing.assert_array_equal(record["image"], expected)


def test_a_palette_is_right_in_every_epoch():
    contents = [encoded(COLOR.quantize(16), "bmp"), encoded(COLOR, "png")] * 3
    indices = tf.constant([0, 1] * 3, tf.int64)
    records = tf.data.Dataset.from_tensor_slices(
        {"id": ["a", "b"] * 3, "image": contents, "index": indices}
    )
    known = KnownImages()
    images = records.map(lambda record: decode_fast(record, UnreadableImages(0), known))
    expected = [np.array(COLOR.quantize(16).convert("RGB")), np.array(COLOR)] * 3
    for record, image in zip(images.as_numpy_iterator(), expected, strict=True):
        np.testing.assert_array_equal(record["image"], image)
    # An ordinary image is decoded on the short way from then on.
    assert known.contains(indices).numpy().tolist() == [False, True] * 3


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg(mode):
    image = Image.fromarray(smooth()).convert(mode)
    content = encoded(image, "jpeg", quality=95)
    record = decoded(content, UnreadableImages(0))
    expected = np.array(Image.open(io.BytesIO(content)).convert("RGB"), int)
    assert record["readable"]
    assert np.abs(record["image"] - expected).mean() < 2


JPEG = encoded(COLOR, "jpeg")
BROKEN = {
    "empty": b"",
    "text": b"not an image",
    "truncated jpeg": JPEG[: len(JPEG) // 2],
    "jpeg header": JPEG[:20],
    "corrupt jpeg": JPEG[:2] + bytes(len(JPEG)),
    "truncated png": png(0, 64, 64)[:2000],
    "short bmp": encoded(COLOR.quantize(16), "bmp")[:200],
    "header of 16 bits": encoded(Image.fromarray(DEEP), "png")[:40],
    "corrupt png": png(0)[:40] + b"\0\0\0\0" + png(0)[44:],
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_unreadable_images_are_told_not_raised(content, capfd):
    unreadable = UnreadableImages(1)
    record = decoded(content, unreadable)
    assert not record["readable"] and not record["image"].any()
    # Decoded twice, counted and reported once.
    assert unreadable.count == 1
    assert capfd.readouterr().err.count("warning: cannot decode a,") == 1
    unreadable.check()


def test_beyond_the_limit_the_run_ends():
    unreadable = UnreadableImages(2)
    records = tf.data.Dataset.from_tensor_slices({"id": list("abcd"), "image": ["x"] * 4})
    iterator = iter(records.map(lambda record: decode(record, unreadable)))
    next(iterator), next(iterator)
    with pytest.raises(tf.errors.OpError):
        next(iterator)
    with pytest.raises(
        UserError,
        match=r"3 images cannot be decoded \(the first: a, b, c\), more "
        "than --max_bad_images=2",
    ):
        unreadable.check()


def test_images_of_one_id_are_told_apart_by_their_rows():
    unreadable = UnreadableImages(10)
    for row in (0, 2, 4, 2, 0):  # two are met again
        unreadable.add(b"image.jpg", row=row)
    assert unreadable.count == 3
    # Of another source the same images may have other rows: only a fourth is new.
    other = unreadable.of_another_source()
    for row in (10, 11, 12):
        other.add(b"image.jpg", row=row)
    assert unreadable.count == other.count == 3
    other.add(b"image.jpg", row=13)
    assert unreadable.count == other.count == 4
    with pytest.raises(UserError):
        other.refuse("full")
    with pytest.raises(UserError, match="full"):
        unreadable.check()


def test_images_of_one_id_in_two_places_are_two(capsys):
    unreadable = UnreadableImages(2)
    unreadable.add(b"cat/0.jpg", row=0)
    elsewhere = unreadable.of_another_source(elsewhere=True)
    elsewhere.add(b"cat/0.jpg", row=0)
    elsewhere.of_another_source().add(b"cat/0.jpg", row=7)
    assert unreadable.count == 2
    assert capsys.readouterr().err.count("warning: cannot decode cat/0.jpg,") == 2
    assert unreadable.ids == {b"cat/0.jpg"}
    with pytest.raises(UserError, match="--max_bad_images=2"):
        elsewhere.add(b"cat/1.jpg", row=1)
    assert unreadable.ids == {b"cat/0.jpg"} and elsewhere.ids == {b"cat/0.jpg", b"cat/1.jpg"}


def test_an_image_of_an_earlier_process_is_not_the_one_of_its_name_elsewhere():
    unreadable = UnreadableImages(0)
    unreadable.remember([(b"cat/0.jpg", 0)])
    with pytest.raises(
        UserError, match=r"1 images cannot be decoded \(the first: cat/0.jpg: cut\)"
    ):
        unreadable.of_another_source(elsewhere=True).add(b"cat/0.jpg", "cut", row=0)


def test_warnings_end_after_ten(capsys):
    unreadable = UnreadableImages(100)
    for number in range(30):
        unreadable.add(f"{number}\n".encode())
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if "cannot decode" in line]) == 10
    assert lines[-1] == "warning: further unreadable images are counted, not listed"
    assert unreadable.summary().startswith("; 30 unreadable images: ")


def test_summary_is_empty_when_all_is_well():
    assert UnreadableImages(0).summary() == ""


def test_attempt():
    def checked(value):
        with tf.control_dependencies([tf.debugging.assert_less(value, tf.constant(3, tf.int64))]):
            return 10 * value

    otherwise = tf.constant(-1, tf.int64)
    values = tf.data.Dataset.range(5).map(lambda value: attempt(checked, value, otherwise))
    assert list(values.as_numpy_iterator()) == [
        (0, True),
        (10, True),
        (20, True),
        (-1, False),
        (-1, False),
    ]
