"""Discovery sees the images that training sees."""

import io

import numpy as np
from PIL import Image

from ssl_tf.data.decoding import decode
from ssl_tf.discovery.images import equal_batches, read_examples, size_troubles
from ssl_tf.discovery.map_encoder import Encoder
from tests.data.opened import source_of
from tests.data.tiny_images import picture, png, write_folder


def palette_bmp():
    """Blue in the middle of red, as indices 1 and 0 of a palette."""
    indices = np.zeros((8, 8), np.uint8)
    indices[2:6, 2:6] = 1
    image = Image.fromarray(indices, "P")
    image.putpalette([255, 0, 0, 0, 0, 255] + [0] * 762)
    return saved(image, "bmp")


def saved(image, kind):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def test_discovery_decodes_as_training_does(tmp_path):
    files = {
        "a.bmp": palette_bmp(),
        "b.png": saved(Image.fromarray(picture(1)), "webp"),
        "c.png": saved(Image.fromarray(np.full((4, 4), 4000, np.uint16)), "png"),
        "d.png": png(3),
        "e.png": b"no image",
    }
    source = source_of(image_folder=write_folder(tmp_path, files))
    seen = list(read_examples(source, 0, source.size))
    trained = source.sequence().map(lambda example: decode(example, source.unreadable))
    assert [example["readable"] for example in seen] == [True, False, False, True, False]
    for example, expected in zip(seen, trained.as_numpy_iterator()):
        assert example["id"] == expected["id"] and example["readable"] == expected["readable"]
        if example["readable"]:
            np.testing.assert_array_equal(example["image"], expected["image"])
        else:
            assert example["image"].shape == (0, 0, 3)
    assert seen[0]["image"][0, 0].tolist() == [255, 0, 0]
    assert seen[0]["image"][4, 4].tolist() == [0, 0, 255]


def test_images_below_the_stride_of_the_encoder_are_left_out_with_a_reason():
    shapes = [(16, 40), (15, 40), (40, 15), (16, 40), (0, 0)]
    examples = [
        {"image": np.zeros([*shape, 3], np.uint8), "readable": shape != (0, 0)} for shape in shapes
    ]
    encoder = Encoder(maps=None, describe=None, layers=(), least_side=16)
    batches = [(rows, images.shape) for rows, images in equal_batches(examples, 0, 8, encoder)]
    assert batches == [([0, 3], (2, 16, 40, 3))]
    reason = "a side below the 16 pixels of the encoder's stride"
    assert size_troubles(examples, 0, encoder) == ["", reason, reason, "", ""]
    # A longer side of 64 makes 32 pixels of each short one.
    assert [rows for rows, _ in equal_batches(examples, 64, 8, encoder)] == [[0, 1, 3], [2]]
    assert size_troubles(examples, 64, encoder) == [""] * 5
