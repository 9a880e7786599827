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


def test_polygons_are_those_of_pycocotools():
    """Random ones: tests/detection/test_coco_figures.py."""
    segments = Segments()
    segments.add(POLYGONS, (14, 20))
    segments.add({"size": [14, 20], "counts": POLYGONS_COUNTS}, (14, 20))
    ours, theirs = (segments.mask(index, (14, 20)) for index in range(2))
    assert theirs.sum() == 105
    np.testing.assert_array_equal(ours, theirs)


def test_a_rectangle_of_whole_pixels_is_filled_and_no_more():
    filled = np.zeros((9, 11), bool)
    filled[2:6, 3:10] = True
    corners = np.array([[3, 2], [10, 2], [10, 6], [3, 6.0]])
    for turned in (corners, corners[::-1], np.roll(corners, 1, axis=0)):
        np.testing.assert_array_equal(fill(turned, (9, 11)), filled)


@pytest.mark.parametrize(
    "segmentation, reason",
    [
        (None, "neither polygons"),
        ([], "without a polygon"),
        ([[1, 2, 3, 4]], "three corners"),
        ([[1, 2, 3, 4, float("nan"), 4]], "no numbers, or far outside"),
        ([[1, 2, 3, 4, 1e9, 4]], "no numbers, or far outside"),
        ({"size": [4, 4], "counts": [16]}, "another size"),
        ({"size": [3, 2], "counts": [5]}, "another size"),
        ({"size": [3, 2], "counts": [7, -1]}, "another size"),
        ({"counts": [6]}, "neither polygons"),
        ({"size": [3, 2], "counts": [[6]]}, "another size"),
        ({"size": [3, 2], "counts": [1e30]}, "neither polygons"),
    ],
)
def test_what_is_no_segment_is_refused(segmentation, reason):
    assert reason in Segments().add(segmentation, (3, 2))
