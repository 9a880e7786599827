"""Images on canvases: crops of an image in the pixels of its smaller copy."""

import numpy as np
import tensorflow as tf

from ssl_tf.views.canvases import crops_on_canvas


def moved(crops, sides, held):
    return crops_on_canvas(tf.constant(crops), tf.constant(sides), tf.constant(held)).numpy()


def test_a_copy_of_the_same_size_keeps_the_crops():
    random = np.random.default_rng(0)
    corners = random.integers(0, 300, [500, 2])
    sizes = random.integers(1, 500 - corners)
    crops = np.concatenate([corners, sizes], axis=1).astype(np.int32)
    np.testing.assert_array_equal(moved(crops, [500, 500], [500, 500]), crops)


def test_corners_fall_on_the_nearest_pixel():
    # A third in height and a quarter in width: rows 10 and 40 become 3.3 and 13.3.
    crops = [[10, 20, 30, 60], [0, 0, 300, 400], [299, 399, 1, 1], [150, 200, 1, 1]]
    expected = [[3, 5, 10, 15], [0, 0, 100, 100], [99, 99, 1, 1], [50, 50, 1, 1]]
    np.testing.assert_array_equal(moved(crops, [300, 400], [100, 100]), expected)
