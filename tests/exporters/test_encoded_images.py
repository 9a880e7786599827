"""Against the decoding of training, which asks Pillow."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssl_tf.data.decoding import decode
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.exporters.encoded_images import readable_crop
from ssl_tf.views.evaluation_crop import evaluation_crop
from tests.data.tiny_images import picture
from tests.preparation.odd_files import exif

SIZE = 20


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def bmp(bits, width, height, colours, *, header=40, compression=0, count=None):
    """A BMP of a random palette and random pixels; a negative height counts from above."""
    random = np.random.default_rng([bits, width])
    palette = random.integers(0, 256, 4 * colours, np.uint8).tobytes()
    size = (width * bits + 31) // 32 * 4 * abs(height)
    start = 14 + header + len(palette)
    count = colours if count is None else count
    numbers = header, width, height, 1, bits, compression, size, 0, 0, count, 0
    filled = struct.pack("<IiiHHIIiiII", *numbers).ljust(header, b"\0")
    content = random.integers(0, 256, size, np.uint8).tobytes()
    return b"BM" + struct.pack("<IHHI", start + size, 0, 0, start) + filled + palette + content


COLOR = Image.fromarray(picture(0, 24, 32))
DEEP = picture(1, 24, 32)[..., 0].astype(np.uint16) * 256 + 77
READABLE = {
    "jpeg": encoded(COLOR, "jpeg"),
    "png": encoded(COLOR, "png"),
    "cmyk": encoded(COLOR.convert("CMYK"), "jpeg"),
    "grey png": encoded(COLOR.convert("L"), "png"),
    "gif": encoded(COLOR, "gif", save_all=True, append_images=[Image.new("RGB", (32, 24))]),
    "bmp": encoded(COLOR, "bmp"),
    "grey bmp": encoded(COLOR.convert("L"), "bmp"),
    "bmp of 256": encoded(COLOR.quantize(256), "bmp"),
    "bmp of 16": encoded(COLOR.quantize(16), "bmp"),
    "bmp of 1 bit": encoded(COLOR.convert("1"), "bmp"),
    "8 bits": bmp(8, 33, 21, 256, count=0),
    "4 bits": bmp(4, 33, 21, 16),
    "1 bit": bmp(1, 33, 21, 2),
    "from above": bmp(4, 30, -21, 16),
    "a long header": bmp(8, 21, 33, 256, header=124),
    "more colours than there are": bmp(8, 33, 21, 100),
    "16 bits": encoded(Image.fromarray(DEEP), "png"),
    "black of 16 bits": encoded(Image.new("I;16", (32, 24)), "png"),
    "13 bits of 16": encoded(Image.fromarray((DEEP >> 4) + 2**12), "png"),
}
SKIPPED = {
    "empty": b"",
    "text": b"no image",
    "half a jpeg": encoded(COLOR, "jpeg")[:500],
    "12 bits of 16": encoded(Image.fromarray(DEEP >> 4), "png"),
    "half a bmp": encoded(COLOR.quantize(16), "bmp")[:700],
    "half a palette": bmp(8, 33, 21, 256)[:500],
    "a header alone": bmp(8, 33, 21, 256)[:54],
    "half a deep png": encoded(Image.fromarray(DEEP), "png")[:200],
    "2 bits": bmp(2, 33, 21, 4),
    "a compression that is none": bmp(8, 33, 21, 256, compression=9),
    "a giant": bmp(8, 33, 21, 256).replace(struct.pack("<i", 21), struct.pack("<i", 2**30)),
}


@pytest.fixture(scope="module")
def crops():
    """Name -> (crop, readable), of all in one graph."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def all_crops(contents):
        signature = tf.TensorSpec([SIZE, SIZE, 3], tf.uint8), tf.TensorSpec([], tf.bool)
        return tf.map_fn(lambda x: readable_crop(x, SIZE), contents, fn_output_signature=signature)

    contents = {**READABLE, **SKIPPED}
    images, readable = all_crops(tf.constant([*contents.values()]))
    return dict(zip(contents, zip(images.numpy(), readable.numpy())))


@pytest.mark.parametrize("name", READABLE)
def test_an_image_is_the_one_of_training(name, crops):
    unreadable = UnreadableImages(0)
    record = decode({"id": tf.constant("a"), "image": tf.constant(READABLE[name])}, unreadable)
    crop, readable = crops[name]
    assert readable and unreadable.count == 0
    np.testing.assert_array_equal(crop, evaluation_crop(record["image"], SIZE))


def test_a_turned_image_is_upright_as_in_training():
    crop = tf.function(lambda content: readable_crop(content, SIZE, orient=True))
    for turn in (1, 3, 6):
        content = encoded(COLOR, "jpeg", exif=exif(turn))
        made, readable = crop(tf.constant(content))
        record = {"id": tf.constant("a"), "image": tf.constant(content)}
        record["orientation"] = tf.constant(turn)
        expected = evaluation_crop(decode(record, UnreadableImages(0))["image"], SIZE)
        assert readable
        np.testing.assert_array_equal(made, expected)
    lying, _ = readable_crop(tf.constant(content), SIZE)
    assert np.abs(made - lying.numpy().astype(int)).max() > 20


@pytest.mark.parametrize("name", SKIPPED)
def test_what_training_skips_is_not_readable(name, crops):
    unreadable = UnreadableImages(1)
    decode({"id": tf.constant("a"), "image": tf.constant(SKIPPED[name])}, unreadable)
    crop, readable = crops[name]
    assert unreadable.count == 1 and not readable and not crop.any()
