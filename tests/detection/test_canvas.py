"""Images on canvases: boxes and masks go where their pixels go."""

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.data.order import example_seed
from ssl_tf.detection.canvas import (
    MASK_SIDE,
    Jitter,
    evaluation_canvas,
    place,
    place_boxes,
    training_canvas,
)

FITTED = Jitter(1.0, 1.0, flip=False)
DRAWN = Jitter(0.5, 2.0, flip=True)


def example(height=60, width=90, boxes=((0.2, 0.1, 0.7, 0.4),), **values):
    """A black image with its first box white."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    count = len(boxes)
    image = np.zeros((height, width, 3), np.uint8)
    masks = np.zeros((count, height, width), np.uint8)
    for box, mask in zip(boxes, masks):
        top, left, bottom, right = np.round(box * [height, width, height, width]).astype(int)
        mask[top:bottom, left:right] = 1
    if count:
        image[masks[0] > 0] = 255
    made = {
        "image": image,
        "index": np.int64(3),
        "boxes": boxes,
        "classes": np.arange(count),
        "crowd": np.zeros(count, bool),
        "masks": masks,
        **values,
    }
    return {name: tf.constant(value) for name, value in made.items()}


def canvas_of(example, jitter, seed=0, side=64, objects=3):
    made = training_canvas(example, side, objects, jitter, example_seed(0, 0, seed))
    return {name: value.numpy() for name, value in made.items()}


def white_box(image):
    rows, columns = np.nonzero(image[..., 0] > 127)
    return np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])


def test_a_fitted_image_fills_the_longer_side():
    made = canvas_of(example(), FITTED)
    assert made["shape"].tolist() == [43, 64] and made["image"].shape == (64, 64, 3)
    assert not made["image"][43:].any()
    height, width = 43, 64
    expected = [0.2 * height, 0.1 * width, 0.7 * height, 0.4 * width]
    np.testing.assert_allclose(made["boxes"][0], expected, rtol=1e-6)
    assert made["boxes"][1:].tolist() == [[-1] * 4] * 2
    assert made["classes"].tolist() == [1, 0, 0]


@pytest.mark.parametrize("height, width", [(60, 90), (200, 40), (64, 64), (30, 150)])
def test_boxes_and_masks_are_where_the_pixels_are(height, width):
    seen = flipped = 0
    for seed in range(30):
        corners = np.round(np.array([0.2, 0.3, 0.9, 0.5]) * [height, width, height, width])
        box = corners / [height, width, height, width]
        made = canvas_of(example(height, width, [box]), DRAWN, seed)
        if not made["classes"].any():
            continue
        box = made["boxes"][0]
        assert (box >= 0).all() and (box[2:] <= made["shape"]).all()
        if (box[2:] - box[:2]).min() < 3:
            continue
        seen += 1
        # An edge may lie inside a pixel.
        np.testing.assert_allclose(white_box(made["image"]), box, atol=1.01)
        assert made["masks"][0].mean() > 0.97
        flipped += box[[1, 3]].mean() > made["shape"][1] / 2
    assert seen > 10 and (width < 60 or 2 < flipped < seen - 2)


def test_the_mask_of_a_box_is_its_part_of_the_image():
    mask = np.zeros((1, 40, 40), np.uint8)
    y, x = np.mgrid[:40, :40] + 0.5
    mask[0] = (y - 20) ** 2 + (x - 20) ** 2 < 10**2
    given = example(40, 40, [(0.25, 0.25, 0.75, 0.75)], masks=mask)
    made = canvas_of(given, FITTED, side=64)["masks"][0]
    centres = (np.arange(MASK_SIDE) + 0.5) / MASK_SIDE * 20 - 10
    circle = centres[:, None] ** 2 + centres[None] ** 2 < 10**2
    assert (made == circle).mean() > 0.97
    np.testing.assert_array_equal(made, made[::-1])
    np.testing.assert_array_equal(made, made[:, ::-1])


def test_crowds_are_left_out_and_of_many_objects_the_first_are_kept():
    boxes = [(0.1 * n, 0.1, 0.1 * n + 0.2, 0.5) for n in range(6)]
    crowd = np.array([False, True, False, False, False, False])
    made = canvas_of(example(boxes=boxes, crowd=crowd), FITTED)
    assert made["classes"].tolist() == [1, 3, 4]


def test_an_object_of_which_nothing_is_seen_is_left_out():
    size = tf.constant([100, 100])
    large = place(size, 64, Jitter(4.0, 4.0, flip=False), tf.constant([1, 2], tf.int64))
    corner = tf.cast(large.offset, tf.float32) / 256
    outside = tf.stack([corner[0] - 0.1, corner[1], corner[0], corner[1] + 0.1])
    inside = tf.stack([corner[0], corner[1], corner[0] + 0.1, corner[1] + 0.1])
    boxes = place_boxes(tf.stack([outside, inside]), large).numpy()
    assert boxes[0, 0] == boxes[0, 2] == 0
    np.testing.assert_allclose(boxes[1], [0, 0, 25.6, 25.6], atol=1e-3)


def test_images_without_objects_have_none():
    made = canvas_of(example(boxes=()), DRAWN)
    assert not made["classes"].any() and (made["boxes"] == -1).all() and not made["masks"].any()


def test_a_canvas_is_a_function_of_the_seed():
    one, same, other = (canvas_of(example(), DRAWN, seed) for seed in (1, 1, 2))
    for name, value in one.items():
        np.testing.assert_array_equal(value, same[name])
    assert (one["image"] != other["image"]).any()


def test_scales_and_offsets_are_drawn_evenly():
    places = [
        place(tf.constant([50, 100]), 64, DRAWN, example_seed(0, 0, seed)) for seed in range(300)
    ]
    scales = np.array([p.size[1].numpy() / 64 for p in places])
    assert (scales >= 0.49).all() and (scales <= 2.01).all()
    assert abs(scales.mean() - 1.25) < 4 * 1.5 / np.sqrt(12 * 300)
    assert 110 < sum(bool(p.flipped) for p in places) < 190
    shares = [p.offset[1].numpy() / (p.size[1].numpy() - 64) for p in places if p.size[1] > 70]
    assert abs(np.mean(shares) - 0.5) < 4 / np.sqrt(12 * len(shares))


def test_an_evaluation_sees_the_whole_image():
    made = evaluation_canvas(example(), 64)
    assert made["shape"].numpy().tolist() == [43, 64] and made["size"].numpy().tolist() == [60, 90]
    assert made["index"].numpy() == 3
    np.testing.assert_array_equal(made["image"], canvas_of(example(), FITTED)["image"])
