import numpy as np
import pytest

from ssl_tf.data.proposals.masks import decode_mask, encode_mask


@pytest.mark.parametrize(
    "rows, counts",
    [
        # column by column, zeros first
        (["010", "011"], "2 2 1 1"),
        (["110", "100"], "0 3 3"),
        (["00", "00"], "4"),
        (["11", "11"], "0 4"),
    ],
)
def test_runs_are_those_of_coco(rows, counts):
    mask = np.array([[pixel == "1" for pixel in row] for row in rows])
    assert encode_mask(mask) == counts
    np.testing.assert_array_equal(decode_mask(counts, *mask.shape), mask)


def test_any_mask_comes_back():
    random = np.random.default_rng(0)
    for _ in range(50):
        mask = random.random(random.integers(1, 9, 2)) < random.random()
        np.testing.assert_array_equal(decode_mask(encode_mask(mask), *mask.shape), mask)


def test_runs_of_another_size_are_refused():
    with pytest.raises(ValueError, match="reshape"):
        decode_mask("3 4", 2, 3)
