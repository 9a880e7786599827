"""Images that EXIF turns, or that were resized after they were annotated."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.data import decoding
from ssl_tf.data.annotations.coco_json import CocoImages
from ssl_tf.data.annotations.label_map_folders import LabelMapFolders
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import UserError
from tests.data.annotations.annotated_files import label_png, read, write_coco
from tests.preparation.odd_files import HEIGHT, SMOOTH, WIDTH, exif, saved, turned

BOX = {"id": 1, "image_id": 0, "category_id": 3, "bbox": [2, 3, 4, 6]}  # x, y, width, height


def coco(directory, size, turn):
    """A json that tells a size, and a JPEG of `SMOOTH` that EXIF turns."""
    path, folder = write_coco(directory, [{**BOX, "area": 20}], images=1)
    content = json.loads(Path(path).read_text())
    content["images"][0] |= dict(file_name="a.jpg", height=size[0], width=size[1])
    Path(path).write_text(json.dumps(content))
    Path(folder, "a.jpg").write_bytes(saved(SMOOTH, "jpeg", quality=95, exif=exif(turn)))
    return CocoImages(path, folder)


def only(source):
    (example,) = read(source)
    image = decoding.decode(
        {name: tf.constant(value) for name, value in example.items()}, UnreadableImages(0)
    )["image"]
    return example, image.numpy()


@pytest.mark.parametrize("turn", range(5, 9))
def test_boxes_of_the_upright_image_turn_it(tmp_path, turn, capsys):
    example, image = only(coco(tmp_path, (WIDTH, HEIGHT), turn))
    assert example["orientation"] == turn
    np.testing.assert_array_equal(example["size"], [WIDTH, HEIGHT])
    np.testing.assert_array_equal(example["size"], image.shape[:2])
    assert np.abs(image - turned(np.asarray(SMOOTH), turn).astype(int)).max() < 20
    y0, x0, y1, x1 = example["boxes"][0] * [WIDTH, HEIGHT, WIDTH, HEIGHT]
    np.testing.assert_allclose([x0, y0, x1 - x0, y1 - y0], BOX["bbox"], rtol=1e-6)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("turn", range(2, 9))
def test_boxes_of_the_stored_image_leave_it(tmp_path, turn, capsys):
    example, image = only(coco(tmp_path, (HEIGHT, WIDTH), turn))
    assert example["orientation"] == 1 and image.shape[:2] == (HEIGHT, WIDTH)
    # Half a turn and a mirror keep the sides, which then tell nothing.
    assert ("is turned by EXIF" in capsys.readouterr().err) == (turn < 5)


def test_areas_are_those_of_the_resized_copy(tmp_path):
    example, _ = only(coco(tmp_path, (2 * HEIGHT, 2 * WIDTH), 1))
    np.testing.assert_array_equal(example["areas"], [20 / 4])
    np.testing.assert_allclose(
        example["boxes"][0] * [HEIGHT, WIDTH, HEIGHT, WIDTH], [1.5, 1, 4.5, 3], rtol=1e-6
    )


def test_another_shape_is_refused(tmp_path):
    source = coco(tmp_path, (WIDTH, HEIGHT), 1)
    with pytest.raises(UserError, match=f"of {WIDTH}x{HEIGHT} pixels, but its annotation is of"):
        with source.reading():
            read(source)


def test_a_label_map_of_the_upright_image_turns_it(tmp_path):
    labels = np.arange(WIDTH * HEIGHT).reshape(WIDTH, HEIGHT) % 3
    for folder, name, content in (
        ("images", "a.jpg", saved(SMOOTH, "jpeg", exif=exif(6))),
        ("maps", "a.png", label_png(labels)),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(content)
    source = LabelMapFolders(str(tmp_path / "images"), str(tmp_path / "maps"))
    example, image = only(source)
    np.testing.assert_array_equal(example["label_map"], labels)
    assert example["orientation"] == 6 and image.shape[:2] == labels.shape


def test_two_entries_of_one_id_are_refused(tmp_path):
    path, folder = write_coco(tmp_path, [BOX])
    content = json.loads(Path(path).read_text())
    for kind, number in (("images", 10), ("categories", 7)):
        twice = {**content, kind: [*content[kind], {**content[kind][0], "id": number}]}
        Path(path).write_text(json.dumps(twice))
        with pytest.raises(UserError, match=f"two of its {kind} have the id {number}"):
            CocoImages(path, folder)
