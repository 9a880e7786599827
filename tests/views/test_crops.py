import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from ssl_tf.views import crops


def rectangles(law, height, width, count, numbers):
    uniform = tf.random.stateless_uniform([count, numbers], [1, 7])
    data = tf.data.Dataset.from_tensor_slices(uniform)
    made = data.map(lambda u: law(tf.constant(height), tf.constant(width), u)).batch(count)
    return next(made.as_numpy_iterator())


def inside(boxes, height, width):
    top, left, h, w = boxes.T
    return (
        (top >= 0).all() and (left >= 0).all() and (h >= 1).all() and (w >= 1).all()
        and (top + h <= height).all() and (left + w <= width).all()
    )  # fmt: skip


def test_uniform_crop_law():
    boxes = rectangles(lambda h, w, u: crops.uniform_crop(h, w, u, (0.5, 1.0)), 375, 500, 4000, 3)
    assert inside(boxes, 375, 500)
    ratio = boxes[:, 2] / 375
    assert np.abs(ratio - boxes[:, 3] / 500).max() < 2 / 375  # one ratio for both sides
    assert ratio.min() >= 0.5 - 1 / 375 and ratio.max() <= 1.0
    # U[0.5, 1]: mean 3/4, area mean 7/12; five standard errors
    assert abs(ratio.mean() - 0.75) < 5 * 0.5 / np.sqrt(12 * 4000)
    assert abs((ratio**2).mean() - 7 / 12) < 5 * 0.22 / np.sqrt(4000)
    # The position is uniform in what the size leaves free.
    free = boxes[:, 2] < 300
    place = boxes[free, 0] / (375 - boxes[free, 2])
    assert abs(place.mean() - 0.5) < 5 * 0.29 / np.sqrt(free.sum())


def test_byol_crop_law():
    boxes = rectangles(lambda h, w, u: crops.byol_crop(h, w, u, (0.08, 1.0)), 375, 500, 4000, 4)
    assert inside(boxes, 375, 500)
    area = boxes[:, 2] * boxes[:, 3] / (375 * 500)
    # The published simulation of this crop: mean area 0.52, quantiles 0.13 / 0.54 / 0.87.
    assert abs(area.mean() - 0.52) < 0.02
    assert np.abs(np.quantile(area, [0.05, 0.5, 0.95]) - [0.13, 0.54, 0.87]).max() < 0.03
    small = area < 0.4  # never cut to the image: the log-uniform aspect shows
    aspect = np.log(boxes[small, 3] / boxes[small, 2]) / np.log(4 / 3)
    assert aspect.min() > -1.05 and aspect.max() < 1.05
    assert abs(aspect.mean()) < 5 * 0.58 / np.sqrt(small.sum())
    assert abs(aspect.std() - 1 / np.sqrt(3)) < 0.03


def test_inception_crop_law():
    make = tf.function(
        lambda i: crops.inception_crop(
            tf.constant(375), tf.constant(500), tf.stack([3, i]), (0.08, 1.0)
        )
    )
    boxes = np.stack([make(tf.constant(i)).numpy() for i in range(2000)])
    assert inside(boxes, 375, 500)
    area = boxes[:, 2] * boxes[:, 3] / (375 * 500)
    # The published simulation of the TF operation on 500x375: mean 0.39, median 0.35.
    assert abs(area.mean() - 0.39) < 0.02
    assert abs(np.median(area) - 0.35) < 0.03
    aspect = boxes[:, 3] / boxes[:, 2]
    assert aspect.min() > 0.74 and aspect.max() < 1.35


@pytest.mark.parametrize("height, width", [(1, 1), (1, 9), (7, 1), (2, 3)])
def test_tiny_images_still_give_a_rectangle(height, width):
    for law, numbers in (
        (lambda h, w, u: crops.uniform_crop(h, w, u, (0.01, 0.02)), 3),
        (lambda h, w, u: crops.byol_crop(h, w, u, (0.001, 0.002)), 4),
    ):
        assert inside(rectangles(law, height, width, 20, numbers), height, width)


def test_crop_and_resize_reads_the_rectangle():
    image = tf.constant(np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3))
    patch = crops.crop_and_resize(image, tf.constant([1, 2, 4, 4]), 4)
    np.testing.assert_array_equal(patch, image[1:5, 2:6])  # same size: the pixels themselves
    half = crops.crop_and_resize(image, tf.constant([0, 0, 4, 4]), 2)
    window = tf.cast(image[:4, :4], tf.float32).numpy()
    means = window.reshape(2, 2, 2, 2, 3).mean(axis=(1, 3))
    assert (means % 1 == 0.5).all()
    np.testing.assert_array_equal(half, means + 0.5)  # halves go up


def test_resizing_equals_the_kernel_of_bytes_rounded():
    rng = np.random.default_rng(2)
    image = tf.constant(rng.integers(0, 256, [40, 50, 3], np.uint8))
    kernels = {"bilinear": tf.raw_ops.ResizeBilinear, "bicubic": tf.raw_ops.ResizeBicubic}
    for rectangle in ([0, 0, 40, 50], [3, 7, 11, 29], [39, 0, 1, 50]):
        top, left, height, width = rectangle
        window = image[tf.newaxis, top : top + height, left : left + width]
        for method, kernel in kernels.items():
            expected = kernel(images=window, size=(23, 23), half_pixel_centers=True)[0].numpy()
            expected = np.floor(np.clip(expected, 0, 255) + 0.5)
            made = crops.crop_and_resize(image, tf.constant(rectangle), 23, method)
            np.testing.assert_array_equal(made, expected)


def test_bicubic_overshoot_is_cut():
    edge = np.zeros([8, 8, 3], np.uint8)
    edge[:, 4:] = 255
    patch = crops.crop_and_resize(
        tf.constant(edge), tf.constant([0, 0, 8, 8]), 32, "bicubic"
    ).numpy()
    assert patch.min() == 0 and patch.max() == 255


def test_normalized_rectangle():
    box = crops.normalized(tf.constant([10, 20, 30, 40]), tf.constant(100), tf.constant(80))
    np.testing.assert_allclose(box, [0.1, 0.25, 0.4, 0.75])


def slow_random_resized(rng, height, width, area):
    """torchvision's RandomResizedCrop.get_params, as its documentation tells it."""
    for _ in range(10):
        target = height * width * rng.uniform(*area)
        aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = round(np.sqrt(target * aspect)), round(np.sqrt(target / aspect))
        if 0 < w <= width and 0 < h <= height:
            return rng.integers(height - h + 1), rng.integers(width - w + 1), h, w
    w, h = width, height
    if width / height < 3 / 4:
        h = round(w / (3 / 4))
    elif width / height > 4 / 3:
        w = round(h * (4 / 3))
    return (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize("size, area", [((375, 500), (0.2, 1.0)), ((60, 300), (0.15, 1.0))])
def test_random_resized_crop_law(size, area):
    boxes = rectangles(
        lambda h, w, u: crops.random_resized_crop(h, w, u, area), *size, 6000,
        crops.RANDOM_RESIZED_DRAWS,
    )  # fmt: skip
    assert inside(boxes, *size)
    rng = np.random.default_rng(5)
    slow = np.array([slow_random_resized(rng, *size, area) for _ in range(6000)])
    for quantity in (
        lambda b: b[:, 2] * b[:, 3],  # area
        lambda b: b[:, 3] / b[:, 2],  # aspect
        lambda b: b[:, 0],
        lambda b: b[:, 1],
    ):
        assert stats.ks_2samp(quantity(boxes), quantity(slow)).pvalue > 1e-4
    fallback = boxes[:, 2] * boxes[:, 3] == 60 * 80
    assert fallback.any() == (size == (60, 300))
    if fallback.any():
        # In the wide image large crops never fit; then the largest of aspect 4/3, in the centre.
        assert {tuple(box) for box in boxes[fallback]} >= {(0, 110, 60, 80)}


@pytest.mark.parametrize(
    "height, width, expected",
    [
        (60, 301, (0, 110, 60, 80)),  # 221 are free: the smaller part on the left
        (300, 60, (110, 0, 80, 60)),
        (1, 9, (0, 4, 1, 1)),
    ],
)
def test_where_no_draw_fits_the_largest_crop_is_in_the_centre(height, width, expected):
    uniform = tf.fill([crops.RANDOM_RESIZED_DRAWS], 0.999)  # the whole area, the widest aspect
    made = crops.random_resized_crop(tf.constant(height), tf.constant(width), uniform, (0.9, 1.0))
    assert tuple(made.numpy()) == expected


def test_the_first_draw_that_fits_is_taken():
    uniform = np.full(crops.RANDOM_RESIZED_DRAWS, 0.5, np.float32)
    uniform[:10] = [1.0, 1.0, 0.2, 0.1, 0.9, 0.3, 0.3, 0.3, 0.3, 0.3]
    uniform[10:13] = 0.0, 1.0, 0.5  # 3/4, 4/3, square
    made = crops.random_resized_crop(
        tf.constant(100), tf.constant(100), tf.constant(uniform), (0.0, 1.0)
    )
    side = round(np.sqrt(0.2) * 100)
    assert made.numpy().tolist() == [28, 28, side, side]


def test_regions_of_a_batch_have_their_own_bounds():
    heights, widths = np.int32([40, 200]), np.int32([80, 100])
    uniform = tf.random.stateless_uniform([500, 2, crops.RANDOM_RESIZED_DRAWS], [1, 2])
    made = crops.random_resized_crop(heights, widths, uniform, (tf.constant([0.3, 0.6]), 1.0))
    share = (made[..., 2] * made[..., 3]).numpy() / [40 * 80, 200 * 100]
    assert 0.28 < share[:, 0].min() < 0.35 and 0.59 < share[:, 1].min() < 0.63
    for region in (0, 1):
        assert inside(made.numpy()[:, region], heights[region], widths[region])
