"""Contact sheets: what stands where, and the report command on tiny images."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageFont

from ssl_tf import command, views_report
from ssl_tf.data.order import example_seed
from ssl_tf.settings import ViewSettings, ViewsReportSettings
from ssl_tf.views import gallery, sheet
from ssl_tf.views.gallery import Example, op_cells, view_cells
from ssl_tf.views.level_rules import Level, constant, linear, no_value
from ssl_tf.views.ops import OP_INDEX, OPS, Op
from ssl_tf.views.recipe import Recipe
from ssl_tf.views.sheet import draw_sheet, framed, with_rectangles

SEED_OF = functools.partial(example_seed, 2)


def picture(height=16, width=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, [height, width, 3], np.uint8)


def test_a_sheet_has_its_pictures_in_rows_and_columns(tmp_path):
    red, blue = (np.full([4, 4, 3], colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    path = tmp_path / "sheet.png"
    drawn = draw_sheet([[(red, ["one", "two"]), None], [None, (blue, [])]], path)
    np.testing.assert_array_equal(drawn, Image.open(path))
    assert sorted(tmp_path.iterdir()) == [path]
    upper, lower = np.nonzero((drawn == (255, 0, 0)).all(-1)), (drawn == (0, 0, 255)).all(-1)
    lower = np.nonzero(lower)
    assert len(upper[0]) == len(lower[0]) == 160 * 160
    assert upper[0].max() + 2 * 14 < lower[0].min() and upper[1].max() < lower[1].min()
    assert (drawn[upper[0].max() + 3 : lower[0].min()].min(axis=-1) < 100).any()  # the text


def test_a_name_that_is_too_wide_loses_its_middle():
    font = ImageFont.load_default(11)
    name = "a_long_name_of_a_photograph_2026_0123.jpg"
    cut = sheet._cut(name, font, 120)
    first, last = cut.split("…")
    assert name.startswith(first) and name.endswith(last) and min(len(first), len(last)) > 4
    assert font.getlength(cut) <= 120 < font.getlength(name)
    assert sheet._cut(name, font, 1000) == name and sheet._cut("x", font, 0) == "x"


def test_a_rectangle_is_drawn_where_the_crop_was_cut():
    grey = np.full([50, 100, 3], 128, np.uint8)
    marked = with_rectangles(grey, np.array([[0.25, 0.5, 0.75, 1.0]]))
    assert marked.shape == (160, 320, 3)
    rows, columns = np.nonzero((marked != 128).any(-1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (40, 119, 160, 319)
    colour = marked[80, 161]
    np.testing.assert_array_equal(framed(grey, 0)[0, 0], colour)
    assert (framed(grey, 1)[0, 0] != colour).any()


def test_a_box_below_a_pixel_of_the_cell_is_a_dot():
    tiny = np.array([[0.5, 0.5, 0.5, 0.5], [0.25, 0.5, 0.26, 0.505]])
    marked = with_rectangles(np.full([50, 100, 3], 128, np.uint8), tiny, tiny[0], tiny[1])
    rows, columns = np.nonzero((marked != 128).any(-1))
    assert {40, 80} <= set(rows) and {160} <= set(columns)
    # A strip of one pixel of a column.
    narrow = with_rectangles(np.full([90, 1, 3], 128, np.uint8), np.array([[0, 0, 1.0, 1.0]]))
    assert narrow.shape[0] == 160 and (narrow != 128).any()


def cells_of(rows):
    return [cell for row in rows for cell in row if cell is not None]


def test_every_operation_is_shown_at_every_level_in_both_directions():
    image = tf.constant(picture())
    levels = (3.0, 9.0)
    cells = cells_of(op_cells(image, levels, ViewSettings(image_size=16)))
    shown = {}
    for made, lines in cells:
        shown.setdefault(lines[0], []).append((made, lines[1:]))
    assert shown.keys() == {op.name for op in OPS}
    without = {name for name, made in shown.items() if len(made) == 1}
    assert without == {op.name for op in OPS if op.value_range is no_value}
    assert without >= {"Identity", "AutoContrast", "Equalize", "Invert", "color_drop"}
    assert [lines for _, lines in shown["ShearX"]] == [
        ["level 3: 0.09"], ["level 9: 0.27"], ["level 3: -0.09"], ["level 9: -0.27"],
    ]  # fmt: skip
    assert [lines for _, lines in shown["rand_contrast"]] == [
        ["level 3: 1.24"], ["level 9: 1.72"], ["level 3: 0.76"], ["level 9: 0.28"],
    ]  # fmt: skip
    assert [lines for _, lines in shown["rand_blur"]] == [["any level: 0.1"], ["any level: 2"]]
    np.testing.assert_array_equal(shown["Identity"][0][0], image)
    threshold, _ = OPS[OP_INDEX["Solarize"]].value_range(Level(9.0))
    solarized = np.where(picture() >= threshold, 255 - picture(), picture())
    np.testing.assert_array_equal(shown["Solarize"][1][0], solarized)


@pytest.mark.parametrize(
    "rule, signed, expected",
    [
        (linear(0.0, 0.1), False, {"level 15: 0.5": 0.5, "level 30: 1": 1.0}),
        (
            linear(0.0, 0.05),
            True,
            {"level 15: 0.25": 0.25, "level 30: 0.5": 0.5, "level 15: -0.25": -0.25,
             "level 30: -0.5": -0.5},
        ),
        (constant(0.25, 0.75), False, {"any level: 0.25": 0.25, "any level: 0.75": 0.75}),
    ],
)  # fmt: skip
def test_a_new_row_is_shown_without_a_further_edit(rule, signed, expected, monkeypatch):
    def shade(image, value, fill, center):
        return tf.cast(tf.cast(image, tf.float32) * tf.abs(value), tf.uint8)

    monkeypatch.setattr(gallery, "OPS", (*OPS, Op("Shade", shade, rule, signed)))
    settings = ViewSettings(image_size=16, level_scale=30)
    cells = cells_of(op_cells(tf.constant(picture()), (15.0, 30.0), settings))
    shown = {lines[1]: made for made, lines in cells if lines[0] == "Shade"}
    assert shown.keys() == expected.keys()
    for caption, value in expected.items():
        np.testing.assert_array_equal(shown[caption], (picture() * abs(value)).astype(np.uint8))


def test_the_draws_are_those_of_the_run():
    recipe = Recipe(ViewSettings(image_size=160, view_strategies=("randaugment", "plain")))
    source = tf.constant(picture(40, 60))
    rows = view_cells(recipe, [Example(5, "a.jpg", source)], seed_of=SEED_OF, draws=4)
    assert [len(row) for row in rows] == [9, 3]  # three draws fill a row
    made = recipe(source, example_seed(2, 3, 5))
    expected = recipe.describe(
        0, made["policy"][0], made["op"][0].numpy(), made["value"][0].numpy()
    )
    view, lines = rows[1][1]
    assert lines[1:] == expected[1:]
    assert lines[0] == "randaugment" + ", flipped" * bool(made["flipped"][0])
    inside = np.s_[2:-2, 2:-2]
    np.testing.assert_array_equal(view[inside], made["views"][0].numpy()[inside])
    assert rows[1][0][1] == ["a.jpg", "60x40, image 5, epoch 3"]


def test_images_stand_side_by_side_too():
    recipe = Recipe(ViewSettings(image_size=16, view_strategies=("plain", "plain"), flip=0.0))
    examples = [Example(i, f"{i}.jpg", tf.constant(picture(seed=i))) for i in range(4)]
    rows = view_cells(recipe, examples, seed_of=SEED_OF, draws=1)
    names = [[lines[0] for _, lines in row] for row in rows]
    assert names == [
        ["0.jpg", "plain", "plain", "1.jpg", "plain", "plain", "2.jpg", "plain", "plain"],
        ["3.jpg", "plain", "plain"],
    ]


def test_every_step_of_a_chain_is_told():
    recipe = Recipe(ViewSettings(image_size=16, recipe="moco"))
    uniform = np.float32([0.1, 0.1, 0.1, 0.1, 0.5, 0.0, 0.25, 0.5, 0.75, 0.0])
    # MoCo has no solarization; its first order of the four steps is that of their numbers.
    assert recipe.describe(0, 0, [], [], uniform) == [
        "moco", "brightness x0.60", "contrast x0.80", "saturation x1.00", "hue +0.050", "grey",
        "blur 1.05",
    ]  # fmt: skip
    uniform[:4] = 0.9
    assert recipe.describe(0, 0, [], [], uniform) == ["moco"]
    byol = Recipe(ViewSettings(image_size=16, recipe="byol"))
    uniform[3] = 0.1
    assert byol.describe(1, 0, [], [], uniform) == ["byol_t_prime", "solarize"]
    uniform[[0, 9]] = 0.1, 23.5 / 24
    assert byol.describe(0, 0, [], [], uniform)[1:5] == [
        "hue +0.050", "saturation x1.00", "contrast x0.80", "brightness -0.40",
    ]  # fmt: skip


def test_an_object_its_surroundings_and_the_crops_are_drawn():
    settings = ViewSettings(
        image_size=16, recipe="moco", crops="object_dilated", dilation=0.5, min_crop=1,
        smallest_area=0.9,
    )  # fmt: skip
    box = tf.constant([[0.25, 0.25, 0.75, 0.75]])
    grey = tf.fill([160, 160, 3], tf.constant(128, tf.uint8))
    examples = [Example(0, "a.jpg", grey, box)]
    ((source, lines), *views) = view_cells(Recipe(settings), examples, seed_of=SEED_OF, draws=1)[0]
    assert lines == ["a.jpg", "160x160, image 0, epoch 0", "dotted: object", "dashed: dilated"]
    white = (source == 255).all(-1)
    # The dilated box is the whole image, dashed at its border, white for nine pixels and free for
    # four; the object's is dotted.
    assert white[0, :10].all() and not white[0, 10:13].any()
    assert white[40, 40:43].all() and white[119, 40:43].all() and not white[40, 43:46].any()
    assert len(views) == 2 and all(len(told) > 1 for _, told in views)


def test_small_views_are_shown_behind_the_others():
    recipe = Recipe(
        ViewSettings(
            image_size=160, crop="byol", view_strategies=("plain", "plain"), flip=0.0,
            small_views=2, small_image_size=40,
        )
    )  # fmt: skip
    (row,) = view_cells(
        recipe,
        [Example(5, "a.jpg", tf.constant(picture(40, 60)))],
        seed_of=SEED_OF,
        draws=1,
    )
    assert [lines for _, lines in row[1:]] == [["plain"]] * 2 + [["plain, 40 px"]] * 2
    made = recipe(tf.constant(picture(40, 60)), example_seed(2, 0, 5))
    # A small view fills its cell, four screen pixels a side for each of its own.
    inside = np.s_[4:-4, 4:-4]
    enlarged = made["views"][3].numpy().repeat(4, axis=0).repeat(4, axis=1)
    np.testing.assert_array_equal(row[4][0][inside], enlarged[inside])


def test_the_report_writes_its_sheets(tmp_path, capsys):
    output = tmp_path / "report"
    flags = ["--dataset=scenes", "--scenes=6", "--scene_size=16", "--image_size=16"]
    flags += ["--view_strategies=plain,byol_t", "--images=2", "--draws=1", "--levels=9"]
    command.run(views_report.main, ViewsReportSettings, [*flags, f"--output={output}"])
    names = {path.name for path in output.iterdir()}
    assert names == {"ops_0.png", "ops_1.png", "views.png", "tensorboard"}
    assert f"{output / 'views.png'}" in capsys.readouterr().out
    (events,) = (output / "tensorboard").iterdir()
    records = [
        tf.compat.v1.Event.FromString(e.numpy()) for e in tf.data.TFRecordDataset(str(events))
    ]
    shown = {value.tag for record in records for value in record.summary.value}
    assert shown == {"ops_0", "ops_1", "views"}
    # A report on fewer images leaves none of the former ones beside its own.
    flags[flags.index("--images=2")] = "--images=1"
    command.run(views_report.main, ViewsReportSettings, [*flags, f"--output={output}"])
    names = {path.name for path in output.iterdir()}
    assert names == {"ops_0.png", "views.png", "tensorboard"}
    assert len(list((output / "tensorboard").iterdir())) == 1
    # Nor does it replace the record that a run has of its own views.
    (output / "flags.txt").touch()
    with pytest.raises(SystemExit) as stopped:
        command.run(views_report.main, ViewsReportSettings, [*flags, f"--output={output}"])
    assert stopped.value.code == 1
    assert (
        "is that of another command, as the views.png of a run is its own"
        in capsys.readouterr().err
    )


def test_the_report_needs_a_place(capsys):
    with pytest.raises(SystemExit) as stopped:
        command.run(views_report.main, ViewsReportSettings, ["--dataset=scenes"])
    assert stopped.value.code == 2
    assert "--output" in capsys.readouterr().err
