"""docs/views.md: its example of a new operation runs, and its tables name everything there is."""

import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.settings import CROPS, RECIPES, STRATEGIES, ViewSettings
from ssl_tf.views import gallery, ops, policies
from ssl_tf.views.chains import CHAINS

PAGE = (Path(__file__).parents[2] / "docs" / "views.md").read_text()


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.fixture(scope="module")
def new_op() -> ops.Op:
    """The row of the page's example, evaluated as if it were written in `ops`."""
    function, row = re.findall(r"```python\n(.*?)```", section("Add an operation"), re.DOTALL)
    names = dict(vars(ops))
    exec(function, names)
    return eval(row, names)


def expected(image: np.ndarray, exponent: float) -> np.ndarray:
    return np.floor(255 * (image / 255) ** exponent + 0.5).astype(np.uint8)


def test_the_example_takes_images_and_batches(new_op, images):
    fill, center = tf.constant(128.0), tf.zeros([2])
    for image in images.values():
        # No square of a level over 255 is a half, so rounding is never in doubt.
        for exponent in (1.0, 2.0):
            made = new_op.apply(tf.constant(image), tf.constant(exponent), fill, center)
            np.testing.assert_array_equal(made, expected(image, exponent))
        batch = new_op.apply(tf.stack([image] * 2), tf.constant([2.0, 1.0]), fill, center)
        np.testing.assert_array_equal(batch, [expected(image, 2.0), image])


def test_the_report_shows_the_example_without_a_further_edit(new_op, images, monkeypatch):
    monkeypatch.setattr(gallery, "OPS", (*ops.OPS, new_op))
    square = images["photograph"][:16, :16]
    rows = gallery.op_cells(tf.constant(square), (0.0, 5.0, 10.0), ViewSettings(image_size=16))
    cells = [cell for row in rows for cell in row if cell and cell[1][0] == "Gamma"]
    assert [lines[1] for _, lines in cells] == ["level 0: 1", "level 5: 1.5", "level 10: 2"]
    np.testing.assert_array_equal(cells[0][0], square)
    np.testing.assert_array_equal(cells[2][0], expected(square, 2.0))


def test_randaugment_draws_the_example_once_it_is_listed(new_op, monkeypatch):
    monkeypatch.setattr(policies, "OPS", (*ops.OPS, new_op))
    monkeypatch.setitem(ops.OP_INDEX, "Gamma", len(ops.OPS))
    names = (*policies.EXTENDED_RANDAUGMENT, "Gamma")
    monkeypatch.setattr(policies, "EXTENDED_RANDAUGMENT", names)
    policy = policies.randaugment.__wrapped__(1, 5.0)
    assert policy.rows[-1] == policies.Row("Gamma", 1.0, 1.5, 1.5)
    drawn = policies.PolicySpace([policy]).draw(tf.fill([1, 8], 1.0 - 2.0**-23))
    assert drawn["op"].numpy() == [[len(ops.OPS)]] and drawn["value"].numpy() == [[1.5]]


def test_the_tables_of_the_page_are_those_of_the_code():
    rows = re.findall(r"^\| (`\w+` \| .*) \|$", section("Recipes"), re.MULTILINE)
    rows = {cells[0]: cells[1:] for cells in (row.split(" | ") for row in rows)}
    for name, recipe in RECIPES.items():
        strategies = ", ".join(f"`{strategy}`" for strategy in recipe.strategies)
        settings = ViewSettings(recipe=name)
        by_area = recipe.crop != "uniform"
        area = "{:g} to {:g}".format(*settings.area) if by_area else "`--crop_ratio`"
        told = [strategies, f"`{recipe.crop}`", area, f"`{recipe.library}`", settings.interpolation]
        *found, source = rows.pop(f"`{name}`")
        assert found == told and source
    assert not rows
    for title, names in (("Strategies", STRATEGIES), ("Crop laws", CROPS)):
        table = re.findall(r"^\| (`.*?) \|", section(title), re.MULTILINE)
        named = {name for cell in table for name in re.findall(r"`(\w+)`", cell)}
        assert named == set(names)
    named = re.findall(r"`(\w+)`(\*?)", section("Operations").split("|---|---|")[1])
    starred = {name: star == "*" for name, star in named if name != "pil"}
    assert starred == {op.name: op.name in policies.EXTENDED_RANDAUGMENT for op in ops.OPS}


def test_the_chains_of_the_page_are_those_of_the_code():
    lines = re.findall(r"^\| `(\w+)`.* \| (.*, (?:added|multiplied) .*) \|$", PAGE, re.MULTILINE)
    assert [name for name, _ in lines] == list(CHAINS)
    for name, cells in lines:
        chain = CHAINS[name]
        numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", cells)]
        strengths = [chain.brightness, chain.contrast, chain.saturation, chain.hue]
        assert numbers == [*strengths, chain.jitter, chain.grey, chain.blur, chain.solarize]
        assert ("added" in cells) == chain.additive_brightness
