import numpy as np
import pytest
from PIL import Image

from ssl_tf.embedding import map_picture
from ssl_tf.embedding.map_picture import GRID, draw_map, grid_places


def test_a_cell_shows_the_point_nearest_its_middle():
    points = np.random.default_rng(0).normal(size=[300, 2])
    rows, cells = grid_places(points, grid=6)
    low, high = points.min(axis=0), points.max(axis=0)
    expected = {}
    for row, point in enumerate(points):
        place = (point - low) / (high - low) * 6
        cell = tuple(np.minimum(place.astype(int), 5).tolist())
        distance = np.hypot(*(place - cell - 0.5))
        if cell not in expected or distance < expected[cell][0]:
            expected[cell] = (distance, row)
    found = dict(zip(map(tuple, cells.tolist()), rows.tolist()))
    assert found == {cell: row for cell, (_, row) in expected.items()} and len(found) > 15


def test_thumbnails_stand_at_their_points_in_the_colours_of_their_groups():
    points = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    shades = {row: np.full([4, 4, 3], 60 * row, np.uint8) for row in range(3)}
    colours = np.eye(3)
    sheet = map_picture._thumbnail_grid(points, np.array([0, 1, 2]), colours, shades)
    cell, frame = map_picture._CELL, map_picture._FRAME
    assert sheet.shape == (GRID * cell, GRID * cell, 3)
    # Left below, right above, right below.
    corners = [(GRID - 1, 0), (0, GRID - 1), (GRID - 1, GRID - 1)]
    for row, (down, right) in enumerate(corners):
        square = sheet[down * cell : (down + 1) * cell, right * cell : (right + 1) * cell]
        assert (square[frame:-frame, frame:-frame] == 60 * row).all()
        assert (square[:frame] == 255 * colours[row]).all()
    assert (sheet == 255).all(axis=2).mean() > 0.99


@pytest.mark.parametrize("count", [1, 24])
def test_a_map_is_drawn_for_one_group_and_for_many(count, tmp_path):
    points = np.random.default_rng(0).normal(size=[60, 2])
    rows, groups = grid_places(points)[0], np.arange(60) % count
    shown = {row: np.zeros([8, 8, 3], np.uint8) for row in rows}
    path = tmp_path / "map.png"
    draw_map(path, points, groups, [f"$class {n}" for n in range(count)], shown)
    pixels = np.asarray(Image.open(path).convert("RGB"))
    assert pixels.shape[1] > pixels.shape[0] > 800
    colours = map_picture._colours(count)
    assert len(np.unique(colours.round(3), axis=0)) == count
    # The frames show the colours of their groups, unblended in places.
    for colour in np.round(255 * colours[np.unique(groups[rows])]):
        assert (np.abs(pixels - colour).max(axis=2) <= 1).any()


def test_names_of_any_letters_stand_in_the_legend_as_they_are(tmp_path, monkeypatch, recwarn):
    names = ["_hidden", r"$\frac$", "a$b$c", "\u8c93", "plain"]
    drawn = []
    monkeypatch.setattr(map_picture, "write_png", lambda figure, path: drawn.append(figure))
    points, groups = np.eye(5, 2), np.arange(5)
    shown = {row: np.zeros([8, 8, 3], np.uint8) for row in grid_places(points)[0]}
    draw_map(tmp_path / "map.png", points, groups, names, shown)
    texts = drawn[0].axes[0].get_legend().get_texts()
    assert [text.get_text() for text in texts] == names
    assert not any(text.get_parse_math() for text in texts)
    monkeypatch.undo()
    draw_map(tmp_path / "map.png", points, groups, names, shown)
    assert (tmp_path / "map.png").exists() and not recwarn.list
