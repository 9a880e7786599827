"""The picture of neighbours: what stands where."""

import numpy as np
from PIL import Image

from ssl_tf.evaluation.neighbour_sheet import draw_neighbours, neighbour_cells

FOUND = {
    "trained": (np.array([[2, 0], [1, 2]]), np.array([[0.75, 0.5], [0.25, -0.125]], np.float32)),
    "random encoder": (np.array([[1, 2], [0, 1]]), np.array([[1.0, 0.5], [1.0, 0.5]], np.float32)),
}


def shade(value):
    return np.full([8, 8, 3], value, np.uint8)


def image_of(index):
    return shade(50 + 50 * index), [f"bank {index}"]


QUERIES = [(shade(10), ["a.jpg"]), (shade(20), ["b.jpg"])]


def test_each_query_has_a_row_an_encoder():
    rows = neighbour_cells(QUERIES, FOUND, image_of)
    assert [[int(picture[0, 0, 0]) for picture, _ in row] for row in rows] == [
        [10, 150, 50], [10, 100, 150], [20, 100, 150], [20, 50, 100],
    ]  # fmt: skip
    assert [lines for _, lines in rows[0]] == [
        ["trained", "a.jpg"], ["cosine 0.750", "bank 2"], ["cosine 0.500", "bank 0"],
    ]  # fmt: skip
    assert [row[0][1] for row in rows[1:]] == [
        ["random encoder", "a.jpg"], ["trained", "b.jpg"], ["random encoder", "b.jpg"],
    ]  # fmt: skip
    assert rows[2][2][1] == ["cosine -0.125", "bank 2"]


def test_the_picture_is_written_whole(tmp_path):
    path = tmp_path / "neighbours.png"
    sheet = draw_neighbours(QUERIES, FOUND, image_of, path)
    np.testing.assert_array_equal(sheet, Image.open(path))
    assert list(tmp_path.iterdir()) == [path]
    # The query of the first row stands left of its nearest, which is left of the next.
    columns = [np.nonzero((sheet == value).all(-1))[1].min() for value in (10, 150)]
    assert columns == sorted(columns)
