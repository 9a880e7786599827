"""Boxes of other images with the same ids are told: by shapes, and by the name of the data set."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from ssl_tf.data.proposals.format import ImageProposals, write_proposals
from ssl_tf.data.proposals.store import ProposalStore
from ssl_tf.data.sources import store_checks
from ssl_tf.data.sources.opening import open_split, with_boxes
from ssl_tf.data.sources.store_checks import check_images
from ssl_tf.errors import UserError
from ssl_tf.settings import DataSettings
from tests.data.prepared_tfds import prepare
from tests.data.tiny_images import picture, png, write_folder
from tests.preparation.odd_files import exif, saved

BOX = np.array([[0.25, 0.25, 0.75, 0.75]])


def turned_jpeg(turn, height, width):
    """Which EXIF turns; height and width are those that are stored."""
    return saved(Image.fromarray(picture(0, height, width)), "jpeg", exif=exif(turn))


def store_of(path, sizes, settings=None):
    images = (ImageProposals(name, BOX, np.ones(1), *size) for name, size in sizes.items())
    write_proposals(path, images, generator="test", settings=settings or {})
    return str(path)


@pytest.fixture
def folder(tmp_path):
    """Images of 30x50, height x width."""
    return write_folder(tmp_path / "images", {f"{n}.png": png(n, 30, 50) for n in range(4)})


def joined(folder, store):
    data = DataSettings(image_folder=str(folder), proposals=store)
    return with_boxes(open_split(data), data)


def test_boxes_of_images_of_other_shapes_are_refused(folder, tmp_path):
    store = store_of(tmp_path / "turned", {f"{n}.png": (50, 30) for n in range(4)})
    told = r"4 of 4 that were looked at, such as '0.png' of 50x30 there and 30x50 here"
    with pytest.raises(UserError, match=told):
        joined(folder, store)


@pytest.mark.parametrize(
    "sizes",
    [
        [(30, 50)] * 4,
        [(15, 25)] * 4,
        [(154, 256)] * 4,
        [(0, 0)] * 4,
        [(0, 0), (30, 50), (3, 5), (9, 15)],
    ],
    ids=["same", "smaller", "larger", "unknown", "mixed"],
)
def test_copies_of_another_size_and_unknown_sizes_are_taken(sizes, folder, tmp_path, capsys):
    store = store_of(tmp_path / "store", {f"{n}.png": size for n, size in enumerate(sizes)})
    assert joined(folder, store).size == 4
    assert "warning" not in capsys.readouterr().err


@pytest.fixture
def lying(tmp_path):
    """Fifty images of 30x50 as they are stored, of which EXIF turns the last upright, to 50x30."""
    files = {f"{n:02d}.png": png(n, 30, 50) for n in range(49)}
    return write_folder(tmp_path / "lying", files | {"49.jpg": turned_jpeg(6, 30, 50)})


@pytest.mark.parametrize("orient", [True, False])
def test_sizes_tell_whether_boxes_are_of_images_that_were_turned(lying, tmp_path, orient, capsys):
    """Also where most images stand as they are stored."""
    names = [f"{n:02d}.png" for n in range(49)] + ["49.jpg"]
    data = DataSettings(image_folder=str(lying), orient=orient)
    for name, last, upright in (("seen", (100, 60), True), ("stored", (15, 25), False)):
        store = store_of(tmp_path / name, {**dict.fromkeys(names, (30, 50)), "49.jpg": last})
        here = dataclasses.replace(data, proposals=store)
        if upright == orient:
            assert with_boxes(open_split(here), here).size == 50
        else:
            with pytest.raises(UserError, match=f"or give --orient={str(upright).lower()}$"):
                with_boxes(open_split(here), here)
    assert "does not tell" not in capsys.readouterr().err


def test_where_no_size_tells_whether_boxes_are_of_turned_images_it_is_said(tmp_path, capsys):
    """A square, and one that is upside down; images that stay as they are need no word."""
    folders = {"turned": {"a.jpg": turned_jpeg(6, 30, 30), "b.jpg": turned_jpeg(3, 30, 50)}}
    folders["standing"] = {"a.jpg": turned_jpeg(1, 30, 30), "b.jpg": turned_jpeg(1, 30, 50)}
    for name, files in folders.items():
        folder = write_folder(tmp_path / name, files)
        for sizes in ([(30, 30), (30, 50)], [(0, 0)] * 2):
            store = store_of(
                tmp_path / f"{name}{sizes[0][0]}", dict(zip(("a.jpg", "b.jpg"), sizes))
            )
            data = DataSettings(image_folder=str(folder), orient=True, proposals=store)
            with_boxes(open_split(data), data)
            told = "does not tell whether its boxes are of images turned upright"
            assert (told in capsys.readouterr().err) == (name == "turned")


def test_images_are_looked_at_for_their_shapes_from_the_first_to_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr(store_checks, "_LOOKED_AT", 3)
    folder = write_folder(tmp_path / "images", {f"{n}.png": png(n, 30, 50) for n in range(9)})
    sizes = {f"{n}.png": (30, 50) if n < 4 else (50, 30) for n in range(9)}
    with pytest.raises(UserError, match="2 of 3 that were looked at, such as '4.png' of 50x30"):
        joined(folder, store_of(tmp_path / "store", sizes))


def test_one_image_of_another_shape_is_a_warning(folder, tmp_path, capsys):
    sizes = {f"{n}.png": (30, 50) for n in range(3)} | {"3.png": (90, 50)}
    joined(folder, store_of(tmp_path / "store", sizes))
    told = capsys.readouterr().err
    assert "other shapes: 1 of 4 that were looked at, such as '3.png' of 90x50 there" in told


def test_the_images_looked_at_may_stand_anywhere_in_the_store(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(store_checks, "_READ", 2)
    others = {f"other{n}.png": (30, 50) for n in range(5)}
    shapes = others | {f"{n}.png": (50, 30) for n in range(4)}
    data = DataSettings(image_folder=folder, proposals=store_of(tmp_path / "last", shapes))
    with pytest.raises(UserError, match="4 of 4 that were looked at"):
        check_images(ProposalStore(data.proposals), open_split(data), data)


def test_boxes_of_another_folder_of_the_same_names_are_told(folder, tmp_path, capsys):
    """One that is not there any more, or is the same by another path, is no other."""
    other = write_folder(tmp_path / "other", {f"{n}.png": png(9 + n, 30, 50) for n in range(4)})
    (tmp_path / "link").symlink_to(folder)
    places = {"gone": False, "other": True, "images": False, "link": False}
    for number, (name, is_told) in enumerate(places.items()):
        told = {"image_folder": str(tmp_path / name)}
        sizes = {f"{n}.png": (30, 50) for n in range(4)}
        joined(folder, store_of(tmp_path / f"store{number}", sizes, told))
        warned = f"has boxes of --image_folder={other}, and these images are of" in (
            capsys.readouterr().err
        )
        assert warned == is_told, name


def test_boxes_of_another_split_are_told(tmp_path, capsys):
    prepare(tmp_path)
    for split, is_told in (("test", True), ("train", False), ("train[:50%]", False)):
        settings = {"dataset": "animals", "split": split}
        store = store_of(tmp_path / split[:7], {"0.png": (0, 0)}, settings)
        data = DataSettings(dataset="animals", data_dir=str(tmp_path), proposals=store)
        with_boxes(open_split(data), data)
        warning = "has boxes of --split=test, and these images are of --split=train"
        assert (warning in capsys.readouterr().err) == is_told


def test_boxes_of_another_data_set_are_told(tmp_path, capsys):
    prepare(tmp_path)
    for name, told in (("cats:1.0.0", True), ("animals", False), ("animals:2.0.0", False)):
        store = store_of(tmp_path / name[-6:], {"0.png": (0, 0)}, {"dataset": name})
        data = DataSettings(dataset="animals", data_dir=str(tmp_path), proposals=store)
        with_boxes(open_split(data), data)
        warning = "has boxes of --dataset=cats, and these images are of --dataset=animals"
        assert (warning in capsys.readouterr().err) == told
