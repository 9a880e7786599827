"""What tells annotated images from others of the same ids."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, PngImagePlugin

from ssl_tf.data.annotations.annotated_scenes import AnnotatedScenes
from ssl_tf.data.annotations.coco_json import CocoImages
from ssl_tf.data.annotations.image_sizes import image_size
from ssl_tf.data.annotations.label_map_folders import LabelMapFolders
from ssl_tf.data.annotations.tfds_records import TfdsObjects
from ssl_tf.data.annotations.voc_directory import VocLabelMaps, VocObjects
from ssl_tf.data.scenes.shapes import Scenes
from tests.data.annotations.annotated_files import (
    label_png,
    prepare_tfds,
    read,
    voc_example,
    voc_features,
    write_coco,
    write_maps,
    write_voc,
)
from tests.data.tiny_images import png

SQUARE = [[1, 1, 5, 1, 5, 5, 1, 5]]


def corrections(open_it, *changes):
    """The details at first and after each change of files; the ids must stay the same."""
    found, ids = [], set()
    for change in (lambda: None, *changes):
        change()
        source = open_it()
        again = open_it()
        assert list(source.details()) == list(again.details())
        found.append(tuple(source.details()))
        ids.add(tuple(source.contents()))
    assert len(ids) == 1
    return found


@pytest.mark.parametrize("kind", [{}, {"masks": True}, {"label_maps": True}])
def test_a_corrected_json_is_another_set(tmp_path, kind):
    objects = [
        {"image_id": n, "category_id": 3, "bbox": [1, 1, 4, 4], "segmentation": SQUARE}
        for n in (0, 10, 10)
    ]
    path, folder = write_coco(tmp_path, objects)
    content = json.loads(Path(path).read_text())
    last = content["annotations"][-1]

    def change(**values):
        def write():
            last.update(values)
            Path(path).write_text(json.dumps(content))

        return write

    steps = [change(bbox=[1, 1, 4, 3]), change(category_id=7), change(iscrowd=1)]
    if kind:
        steps += [
            change(segmentation=[[1, 1, 5, 1, 5, 4, 1, 4]]),
            change(segmentation=[[1, 1, 5, 1, 5, 4], [1, 1, 1, 4, 5, 4]]),
            change(segmentation={"size": [6, 8], "counts": [20, 8, 20]}),
        ]
    image = Path(folder, f"{1:012}.png")
    steps.append(lambda: image.write_bytes(png(1, 6, 8) + b" "))
    found = corrections(lambda: CocoImages(path, folder, **kind), *steps)
    assert len(set(found)) == 1 + len(steps)
    # An image without a change keeps its own part, also in a part of the source.
    only_first = CocoImages(path, folder, **kind).part(np.array([True, False, False]), "first")
    assert tuple(only_first.details()) == found[0][:2]


def test_a_corrected_xml_or_image_is_another_set(tmp_path):
    def write(box):
        return lambda: write_voc(tmp_path, {"one": [("cat", *box, 0)], "two": []})

    write((1, 1, 4, 4))()
    image = tmp_path / "JPEGImages/two.jpg"
    found = corrections(
        lambda: VocObjects([str(tmp_path)], ["trainval"]),
        write((1, 1, 4, 5)),
        lambda: image.write_bytes(image.read_bytes() + b" "),
    )
    assert len(set(found)) == 3


def test_a_corrected_label_map_is_another_set_though_its_file_is_as_long(tmp_path):
    labels = np.zeros([6, 8], np.uint8)
    other = labels.copy()
    other[2, 3] = 1
    assert len(label_png(labels + 1)) == len(label_png(labels + 2))
    folders = write_maps(tmp_path, {"a": labels + 1, "b": labels + 1})

    def correct():
        Path(folders[1], "b.png").write_bytes(label_png(labels + 2))

    found = corrections(lambda: LabelMapFolders(*folders, num_classes=4), correct)
    assert found[0] != found[1] and found[0][:2] == found[1][:2]
    objects = {"one": [("cat", 1, 1, 4, 4, 0)]}
    write_voc(tmp_path / "voc", objects, maps={"one": labels})
    found = corrections(
        lambda: VocLabelMaps([str(tmp_path / "voc")], ["trainval"]),
        lambda: write_voc(tmp_path / "voc", objects, maps={"one": other}),
    )
    assert found[0] != found[1]


def test_records_that_were_prepared_anew_are_another_set(tmp_path):
    def details(number, kind):
        row = voc_example(1, [(kind, (0.0, 0.0, 0.5, 1.0), False)])
        prepare_tfds(tmp_path / number, "voc", voc_features(), {"train": [row]}, "2007")
        return list(TfdsObjects("voc/2007", str(tmp_path / number), "train").details())

    first, same, other = details("one", 0), details("two", 0), details("three", 1)
    assert first == same != other


def test_scenes_of_another_side_are_another_set():
    first, same, other = (
        list(AnnotatedScenes(Scenes("train", 4, side)).details()) for side in (16, 16, 24)
    )
    assert first == same != other


def png_with_text(number):
    """A PNG whose text Pillow refuses to unpack."""
    text = PngImagePlugin.PngInfo()
    text.add_text("notes", "x" * 2**21, zip=True)
    stream = io.BytesIO()
    Image.open(io.BytesIO(png(number))).save(stream, "PNG", pnginfo=text)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "bmp"])
def test_the_size_of_an_image_beyond_pillows_limit_is_in_its_header(kind, monkeypatch):
    stream = io.BytesIO()
    Image.new("RGB", (40, 30)).save(stream, kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(stream)
    assert image_size(stream.getvalue()) == (30, 40)
    assert image_size(stream.getvalue()[:10]) is None


@pytest.mark.parametrize("kind", ["objects", "masks", "label_maps", "scenes"])
@pytest.mark.parametrize("image", [b"", b"no image", "text"])
def test_an_image_is_read_without_tensorflow(tmp_path, kind, image):
    """TensorFlow waits for the threads that read, and calls from them into it have waited for it.

    An operation would be added to the graph.
    """
    objects = [{"image_id": 0, "category_id": 3, "bbox": [1, 1, 4, 4], "segmentation": SQUARE}]
    path, folder = write_coco(tmp_path, objects)
    encoded = png_with_text(0) if image == "text" else image
    Path(folder, "000000000000.png").write_bytes(encoded)
    if kind == "scenes":
        source = AnnotatedScenes(Scenes("train", 4, 16), masks=True)
        source._encoded_images[0] = encoded
    else:
        source = CocoImages(path, folder, **{name: True for name in {kind} - {"objects"}})
    with tf.Graph().as_default() as graph:
        source._name(0)
        found = source._read(0)
    assert not graph.get_operations()
    assert found[0] == encoded
    assert tuple(found[2]) == ((6, 8) if image == "text" else (0, 0))


@pytest.mark.parametrize("kind", [{"masks": True}, {"label_maps": True}])
def test_an_image_that_tensorflow_alone_decodes_has_its_size(tmp_path, kind):
    objects = [{"image_id": 0, "category_id": 3, "bbox": [1, 1, 4, 4], "segmentation": SQUARE}]
    path, folder = write_coco(tmp_path, objects)
    expected = read(CocoImages(path, folder, **kind))[0]
    file = Path(folder, "000000000000.png")
    file.write_bytes(png_with_text(0))
    with pytest.raises(ValueError, match="Decompressed data too large"):
        Image.open(file)
    found = read(CocoImages(path, folder, **kind))[0]
    np.testing.assert_array_equal(found["size"], [6, 8])
    for name in expected.keys() - {"image"}:
        np.testing.assert_array_equal(found[name], expected[name])
