"""Grey levels of any depth become those of 8 bits that people see."""

import numpy as np
import pytest

from ssl_tf.preparation.as_seen import open_image
from ssl_tf.preparation.bit_depth import eight_bits
from tests.preparation.odd_files import grey_tiff


def levels(content: bytes) -> np.ndarray:
    with open_image(content) as image:
        image.load()
        return np.asarray(eight_bits(image, content), int)


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_white_may_be_zero(dtype):
    values = np.arange(12 * 16).astype(dtype).reshape(12, 16)
    if dtype != "u1":
        values *= 21
    positive, negative = (levels(grey_tiff(values, black)) for black in (0, 1))
    np.testing.assert_array_equal(negative, 255 - positive)
    assert negative.max() == 255 and negative.min() < 80


@pytest.mark.parametrize("dtype", ["u2", "i2", "u4", "i4", "f4"])
@pytest.mark.parametrize(
    "low, high",
    [(0, 1), (0, 255), (300, 4000), (0, 30_000), (0, 65_535), (-500, 500), (0, 2**32 - 256)],
)
def test_the_depth_of_the_file_tells_what_is_white(dtype, low, high):
    kind = np.dtype(dtype)
    if kind.kind != "f" and not np.iinfo(kind).min <= low < high <= np.iinfo(kind).max:
        high = np.iinfo(kind).max
        low = max(low, np.iinfo(kind).min)
    values = np.linspace(low, high, 12 * 16).round().astype(kind).reshape(12, 16)
    if low < 0:
        black, white = low, high
    elif kind.itemsize == 2:
        black, white = 0, 4095 if high <= 4095 else 65_535
    else:
        black, white = (0, high) if high in (1, 255) else (low, high)
    expected = (values.astype(np.float64) - black) * 255 / (white - black)
    assert np.abs(levels(grey_tiff(values)) - expected.round()).max() <= 1
    if high in (1, 255) and kind.itemsize == 4:
        assert set(np.unique(levels(grey_tiff(values)))) >= {0, 255}


@pytest.mark.parametrize("low, high", [(0, 1), (0, 255), (100, 1100)])
def test_what_is_no_finite_number_bounds_no_range(low, high):
    values = np.linspace(low, high, 12 * 16, dtype=np.float32).reshape(12, 16)
    expected = levels(grey_tiff(values))
    assert len(np.unique(expected)) > 150
    for odd, level in ((np.inf, 255), (-np.inf, 0), (np.nan, 0)):
        # Not the ends, which bound the range.
        values[3, 3], expected[3, 3] = odd, level
        np.testing.assert_array_equal(levels(grey_tiff(values)), expected)
