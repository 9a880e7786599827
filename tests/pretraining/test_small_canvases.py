"""Crops of images that are longer than their canvas: those of the host, on a smaller copy."""

import numpy as np
import pytest
from PIL import Image

from ssl_tf.data.batches import training_batches
from ssl_tf.data.order import Steps
from ssl_tf.pretraining.inputs import OnDevice, placed_batches
from ssl_tf.settings import CROPS, REGIONS, ViewSettings
from ssl_tf.views.device import DeviceViews
from ssl_tf.views.recipe import Recipe
from tests.data.opened import source_of

SIDE, STEPS = 32, Steps(7, batch_size=8, start=0, stop=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of up to nine times the canvas, two of which lie on their side."""
    directory = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for number, sides in enumerate([(65, 48), (130, 97), (33, 290), (20, 30), (64, 64)]):
        pixels = Image.fromarray(random.integers(0, 256, [*sides, 3], np.uint8))
        pixels.save(directory / f"{number}.png")
        pixels.save(directory / f"{number}.jpg")
        if number in (1, 3):
            pixels.save(directory / f"{number}_turned.jpg", exif=exif)
    return source_of(image_folder=str(directory), orient=True)


@pytest.fixture(scope="module")
def scenes():
    return source_of(dataset="scenes", scenes=8, scene_size=3 * SIDE)


def check(source, recipe):
    """Compares the crops as fractions: of the image to the bit, on the canvas to a pixel."""

    def rectangles(*example):
        return {"rectangles": recipe(*example)["rectangles"]}

    host = training_batches(source, rectangles, STEPS, with_boxes=recipe.takes_boxes)
    needed = ("rectangles", "held")
    device = placed_batches(source, recipe, STEPS, OnDevice(SIDE), needed)
    for of_host, of_device in zip(host.as_numpy_iterator(), device.as_numpy_iterator()):
        expected = of_host["rectangles"]
        np.testing.assert_array_equal(of_device["rectangles"], expected)
        held = np.tile(of_device["held"], 2)[:, np.newaxis]
        assert held.max() <= SIDE
        crops = of_device["placed"]["crops"]
        first, size = crops[..., :2], crops[..., 2:]
        assert (size >= 1).all() and (first >= 0).all()
        assert (first + size <= held[..., :2]).all()
        on_canvas = np.concatenate([first, first + size], axis=-1) / held
        assert (np.abs(on_canvas - expected) * held).max() <= 1


@pytest.mark.parametrize("crop", CROPS)
def test_crops_of_scenes(folder, crop):
    check(folder, Recipe(ViewSettings(image_size=16, recipe="moco", crop=crop)))


@pytest.mark.parametrize("min_crop", [0, 40])
@pytest.mark.parametrize("crops", [name for name in REGIONS if name != "scene_scene"])
def test_crops_of_objects_keep_their_size_in_pixels_of_the_image(scenes, crops, min_crop):
    views = ViewSettings(
        image_size=16, recipe="moco", crop="random_resized", crops=crops, min_crop=min_crop
    )
    check(scenes, Recipe(views, smallest_areas=(0.5, 0.5)))


def test_views_on_the_host_are_cut_from_the_copies_where_those_of_the_step_are(scenes):
    """Pictures and monitors show what is learned from."""
    views = ViewSettings(image_size=16, recipe="moco", view_strategies=("plain", "plain"))
    recipe, of_images = Recipe(views, side=SIDE), Recipe(views)

    def made(recipe):
        batches = training_batches(scenes, lambda *e: {"views": recipe(*e)["views"]}, STEPS)
        return np.concatenate([b["views"] for b in batches.as_numpy_iterator()], axis=1)

    device = placed_batches(scenes, recipe, STEPS, OnDevice(SIDE))
    expected = [DeviceViews(recipe)(batch)["views"] for batch in device]
    expected = np.concatenate([np.stack(views) for views in expected], axis=1).astype(int)
    difference = np.abs(made(recipe) - expected)
    assert (difference <= 1).mean() > 0.999
    assert np.abs(made(of_images) - expected).mean() > 10 * difference.mean()
