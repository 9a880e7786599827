import numpy as np
import pytest

from ssl_tf.data.annotations.segments import Segments, decompress, fill

# Of pycocotools 2.0.11: masks and their compressed run lengths.
MASK = [
    [0, 1, 0, 1, 1],
    [1, 0, 0, 0, 0],
    [0, 1, 0, 1, 1],
    [0, 0, 0, 0, 1],
    [0, 1, 0, 0, 0],
    [0, 0, 0, 0, 1],
    [0, 1, 0, 0, 0],
]
COUNTS = "1150L0000060J030M10O0"
POLYGONS = [
    [3.2, 2.1, 14.7, 4.4, 10.3, 12.8, 2.6, 9.9],
    [15.5, 1.5, 19.2, 8.8, 12.4, 7.1],
]
POLYGONS_COUNTS = "\\18610O0001O00010ON2N2N12N11O2N2O6"


def test_compressed_run_lengths_are_those_of_pycocotools():
    segments = Segments()
    assert segments.add({"size": [7, 5], "counts": COUNTS}, (7, 5)) == ""
    np.testing.assert_array_equal(segments.mask(0, (7, 5)), np.array(MASK, bool))
    with pytest.raises(ValueError, match="inside a number"):
        decompress(COUNTS[:-1] + "P")


def test_plain_run_lengths_begin_with_zeros_and_run_down_the_columns():
    segments = Segments()
    segments.add({"size": [3, 2], "counts": [1, 2, 1, 1, 1]}, (3, 2))
    np.testing.assert_array_equal(segments.mask(0, (3, 2)), [[0, 0], [1, 1], [1, 0]])


def test_polygons_are_those_of_pycocotools_but_for_a_pixel_of_the_border():
    segments = Segments()
    segments.add(POLYGONS, (14, 20))
    segments.add({"size": [14, 20], "counts": POLYGONS_COUNTS}, (14, 20))
    ours, theirs = (segments.mask(index, (14, 20)) for index in range(2))
    assert theirs.sum() == 105
    np.testing.assert_array_equal(np.argwhere(ours != theirs), [[12, 10]])


def test_a_polygon_holds_the_pixels_whose_centres_it_holds():
    random = np.random.default_rng(0)
    height, width = 9, 11
    for _ in range(20):
        polygon = random.uniform(-3, 14, (random.integers(3, 7), 2))
        slow = np.zeros((height, width), bool)
        for y in range(height):
            for x in range(width):
                for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0)):
                    if (y0 <= y + 0.5) != (y1 <= y + 0.5):
                        slow[y, x] ^= x + 0.5 > x0 + (y + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        np.testing.assert_array_equal(fill(polygon, (height, width)), slow)


@pytest.mark.parametrize(
    "segmentation, reason",
    [
        (None, "neither polygons"),
        ([], "without a polygon"),
        ([[1, 2, 3, 4]], "three corners"),
        ({"size": [4, 4], "counts": [16]}, "another size"),
        ({"size": [3, 2], "counts": [5]}, "another size"),
        ({"size": [3, 2], "counts": [7, -1]}, "another size"),
        ({"counts": [6]}, "neither polygons"),
    ],
)
def test_what_is_no_segment_is_refused(segmentation, reason):
    assert reason in Segments().add(segmentation, (3, 2))
