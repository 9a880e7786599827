"""The first images of a run: which they are, and what is told of those that cannot be read."""

import numpy as np
import pytest
from PIL import Image

from ssl_tf.errors import UserError
from ssl_tf.pretraining.inputs import first_examples, show_first_views
from ssl_tf.pretraining.neighbour_picture import NeighbourPicture
from ssl_tf.settings import ViewSettings
from ssl_tf.views.recipe import Recipe
from tests.data.opened import source_of


def folder_of(tmp_path, readable, unreadable):
    for number in range(readable):
        Image.new("RGB", (20, 10), (number, 0, 0)).save(tmp_path / f"{number}.png")
    for number in range(unreadable):
        (tmp_path / f"bad_{number}.png").write_bytes(b"no image")
    return lambda limit=10: source_of(image_folder=str(tmp_path), max_bad_images=limit)


def test_the_first_examples_are_those_of_the_first_step_with_their_names(tmp_path):
    source = folder_of(tmp_path, 12, 4)()
    found = first_examples(source, seed=3, count=6)
    stream = [record["id"].decode() for record in source.stream(3, 0, 16).as_numpy_iterator()]
    assert [example.name for example in found] == [n for n in stream if n[:3] != "bad"][:6]
    for example in found:
        assert example.boxes is None and example.image.shape == (10, 20, 3)
        assert f"{example.image[0, 0, 0]}.png" == example.name
    assert len(first_examples(source, seed=3, count=99)) == 12 and source.unreadable.count == 4


def test_too_many_unreadable_images_are_one_line(tmp_path):
    source = folder_of(tmp_path, 0, 12)
    for read in (
        lambda: first_examples(source(), 0, 8),
        lambda: NeighbourPicture(source(), None, 16, random=None),
    ):
        with pytest.raises(UserError, match="more than --max_bad_images=10") as raised:
            read()
        assert "\n" not in str(raised.value)


def test_without_any_readable_image_there_is_no_picture(tmp_path):
    source = folder_of(tmp_path, 0, 5)()
    recipe = Recipe(ViewSettings(image_size=16, view_strategies=("plain", "plain")))
    show_first_views(source, recipe, 0, tmp_path / "views.png")
    assert not (tmp_path / "views.png").exists()
    for read in (
        lambda: first_examples(source, 0, 8),
        lambda: NeighbourPicture(source, None, 16, random=None),
    ):
        with pytest.raises(UserError, match="no image can be decoded; mend or convert"):
            read()


def test_the_views_of_a_run_are_drawn_with_their_source(tmp_path):
    source = folder_of(tmp_path, 9, 0)()
    recipe = Recipe(ViewSettings(image_size=16, view_strategies=("plain", "plain")))
    show_first_views(source, recipe, 0, tmp_path / "views.png")
    sheet = np.asarray(Image.open(tmp_path / "views.png"))
    # Eight images, three abreast: the image, twice as wide as high, and two views.
    assert sheet.shape[1] == 3 * (320 + 160 + 160) + 10 * 8
    assert 3 * 160 < sheet.shape[0] < 3 * 240
