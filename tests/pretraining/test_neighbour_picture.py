"""The picture of neighbours of a run: which images, which encoder, at which look."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssl_tf.pretraining import neighbour_picture
from ssl_tf.pretraining.neighbour_picture import NeighbourPicture
from tests.evaluation.multi_label_source import Shades


def mean_colour(images):
    return tf.reduce_mean(tf.cast(images, tf.float32), axis=[1, 2])


def constant(images):
    return tf.ones([len(images), 3])


@pytest.fixture
def drawn(monkeypatch):
    """What would be drawn: the arguments of `draw_neighbours`."""
    calls = []
    monkeypatch.setattr(neighbour_picture, "draw_neighbours", lambda *given: calls.append(given))
    return calls


def colours(source):
    return np.array([tf.io.decode_png(image).numpy()[0, 0] for image in source._images], float)


def test_held_out_images_find_their_nearest_training_images(drawn):
    bank, held_out = Shades(40, 0), Shades(6, 1)
    picture = NeighbourPicture(bank, held_out, 16, random=constant)
    picture.draw(mean_colour, 3, None)
    (queries, found, image_of, _) = drawn[0]
    assert len(queries) == 6
    indices, cosines = found["trained, step 3"]
    unit = [
        c / np.linalg.norm(c, axis=1, keepdims=True) for c in (colours(held_out), colours(bank))
    ]
    similarity = unit[0] @ unit[1].T
    np.testing.assert_allclose(cosines, -np.sort(-similarity)[:, :7], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(similarity, indices, 1), cosines, atol=1e-5)
    pixels, _ = image_of(indices[0, 0])
    np.testing.assert_array_equal(pixels[0, 0], colours(bank)[indices[0, 0]])
    np.testing.assert_array_equal(queries[3][0][0, 0], colours(held_out)[3])
    # All images are alike to the other encoder, and the first ones come first.
    np.testing.assert_array_equal(found["random encoder"][0], np.tile(np.arange(7), [6, 1]))


def test_without_held_out_images_some_of_the_bank_are_asked_and_do_not_find_themselves(drawn):
    bank = Shades(40, 0)
    NeighbourPicture(bank, None, 16, random=constant).draw(mean_colour, 3, None)
    queries, found, _, _ = drawn[0]
    own = np.linspace(0, 39, 6).astype(int)
    for place, row in enumerate(own):
        np.testing.assert_array_equal(queries[place][0][0, 0], colours(bank)[row])
        assert row not in found["trained, step 3"][0][place]


def test_the_first_look_of_a_run_from_scratch_is_that_of_the_random_encoder(drawn):
    picture = NeighbourPicture(Shades(20, 0), Shades(4, 1), 16, random=None)
    picture.draw(constant, 3, None)
    picture.draw(mean_colour, 3, None)
    (_, first, *_), (_, second, *_) = drawn
    np.testing.assert_array_equal(first["trained, step 3"][0], first["random encoder"][0])
    np.testing.assert_array_equal(second["random encoder"][0], first["random encoder"][0])
    assert (second["trained, step 3"][0] != second["random encoder"][0]).any()


def test_the_bank_has_a_limit(drawn, monkeypatch):
    monkeypatch.setattr(neighbour_picture, "_BANK_BYTES", 10 * 3 * 16 * 16)
    NeighbourPicture(Shades(40, 0), Shades(4, 1), 16, random=constant).draw(constant, 3, None)
    assert drawn[0][1]["trained, step 3"][0].max() < 10


def test_the_picture_is_written(tmp_path):
    picture = NeighbourPicture(Shades(20, 0), Shades(4, 1), 16, random=None)
    sheet = picture.draw(mean_colour, 3, tmp_path / "neighbours.png")
    np.testing.assert_array_equal(sheet, Image.open(tmp_path / "neighbours.png"))
    # Four queries, two encoders each.
    assert sheet.shape[0] > 8 * 160
