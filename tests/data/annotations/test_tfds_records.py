import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.data.annotations.open_annotated import with_objects
from ssl_tf.data.annotations.tfds_records import Records, TfdsObjects, TfdsSceneParsing
from ssl_tf.errors import NoSuchSplit, UserError
from tests.data.annotations.annotated_files import (
    coco_example,
    coco_features,
    label_png,
    prepare_tfds,
    read,
    scene_parsing_features,
    voc_example,
    voc_features,
)
from tests.data.tiny_images import picture


def test_objects_of_voc(tmp_path):
    objects = [(2, (0.0, 0.25, 0.5, 1.0), False), (0, (0.5, 0.5, 1.0, 0.75), True)]
    examples = [voc_example(0, objects), voc_example(1, []), voc_example(2, objects[:1])]
    prepare_tfds(tmp_path, "voc", voc_features(), {"train": examples}, config="2007")
    source = TfdsObjects("voc/2007", str(tmp_path), "train")
    assert source.class_names == ("aeroplane", "bicycle", "bird")
    first, second, third = read(source)
    assert [e["id"] for e in (first, second, third)] == [
        b"000000.jpg",
        b"000001.jpg",
        b"000002.jpg",
    ]
    np.testing.assert_array_equal(tf.io.decode_image(first["image"]), picture(0))
    np.testing.assert_array_equal(first["boxes"], [objects[0][1], objects[1][1]])
    np.testing.assert_array_equal(first["classes"], [2, 0])
    np.testing.assert_array_equal(first["difficult"], [False, True])
    np.testing.assert_array_equal(first["areas"], [18, 6])
    np.testing.assert_array_equal(source.learned_objects(), [2, 0, 1])
    part = TfdsObjects("voc/2007", str(tmp_path), "train[1:]")
    assert [e["id"] for e in read(part)] == [b"000001.jpg", b"000002.jpg"]
    with pytest.raises(NoSuchSplit):
        TfdsObjects("voc/2007", str(tmp_path), "test")


def test_scene_parse150_ignores_label_0(tmp_path):
    features = scene_parsing_features()
    labels = np.arange(48).reshape(6, 8) * 3
    image = tf.io.encode_jpeg(picture(3)).numpy()
    (tmp_path / "image.jpg").write_bytes(image)
    (tmp_path / "map.png").write_bytes(label_png(labels))
    example = {"image": str(tmp_path / "image.jpg"), "annotation": str(tmp_path / "map.png")}
    prepare_tfds(tmp_path, "scene_parse150", features, {"train": [example] * 2})
    source = TfdsSceneParsing("scene_parse150", str(tmp_path), "train")
    first, second = read(source)
    assert first["image"] == image and source.num_classes == 150
    assert second["id"] == b"scene_parse150-train.tfrecord-00000-of-00001__1"
    np.testing.assert_array_equal(first["label_map"], np.where(labels == 0, 255, labels - 1))
    with pytest.raises(UserError, match="has no objects with boxes and labels"):
        TfdsObjects("scene_parse150", str(tmp_path), "train")


def test_a_file_that_breaks_off_is_told(tmp_path):
    prepare_tfds(tmp_path, "voc", voc_features(), {"train": [voc_example(0, [])] * 2})
    (path,) = (tmp_path / "voc").rglob("*.tfrecord*")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="damaged or truncated at record 1"):
        TfdsObjects("voc", str(tmp_path), "train")


def test_objects_of_coco_with_crowds_and_areas_of_segments(tmp_path):
    objects = [(1, (0.0, 0.25, 0.5, 1.0), 11, False), (0, (0.5, 0.5, 1.0, 0.75), 5, True)]
    examples = [coco_example(0, objects), coco_example(1, objects[1:])]
    prepare_tfds(tmp_path, "coco", coco_features(), {"train": examples}, config="2017")
    source = TfdsObjects("coco/2017", str(tmp_path), "train")
    first, second = read(source)
    np.testing.assert_array_equal(first["boxes"], [objects[0][1], objects[1][1]])
    np.testing.assert_array_equal(first["crowd"], [False, True])
    np.testing.assert_array_equal(first["areas"], [11, 5])
    np.testing.assert_array_equal(second["crowd"], [True])
    assert [e["id"] for e in read(with_objects(source))] == [b"000000000000.jpg"]


@pytest.mark.parametrize("field", ["label", "is_difficult"])
def test_objects_with_fewer_fields_than_boxes_are_told(tmp_path, monkeypatch, field):
    objects = [(2, (0.0, 0.25, 0.5, 1.0), False), (0, (0.5, 0.5, 1.0, 0.75), True)]
    prepare_tfds(tmp_path, "voc", voc_features(), {"train": [voc_example(0, objects)]})
    read_record = Records.read

    def cut(records, row):
        record = read_record(records, row)
        return {**record, f"objects/{field}": record[f"objects/{field}"][:1]}

    monkeypatch.setattr(Records, "read", cut)
    with pytest.raises(UserError, match="--dataset=voc: 000000.jpg has 2 boxes and [12] labels"):
        TfdsObjects("voc", str(tmp_path), "train")


@pytest.mark.parametrize("bbox_format", ["REL_XYXY", "XYWH"])
def test_boxes_of_another_order_are_refused(tmp_path, bbox_format):
    features = coco_features(bbox_format)
    prepare_tfds(tmp_path, "coco", features, {"train": [coco_example(0, [])]})
    with pytest.raises(UserError, match="are not of REL_YXYX, .* prepare it"):
        TfdsObjects("coco", str(tmp_path), "train")


@pytest.mark.parametrize("area", [0, -1])
def test_an_area_that_is_none_is_that_of_the_box(tmp_path, area):
    example = coco_example(0, [(1, (0.0, 0.25, 0.5, 1.0), area, False)])
    prepare_tfds(tmp_path, "coco", coco_features(), {"train": [example]}, config="2017")
    (found,) = read(TfdsObjects("coco/2017", str(tmp_path), "train"))
    height, width = found["size"]
    np.testing.assert_allclose(found["areas"], [0.5 * height * 0.75 * width])


def test_hidden_labels_are_told(tmp_path, monkeypatch):
    objects = [(2, (0.0, 0.25, 0.5, 1.0), False)]
    prepare_tfds(tmp_path, "voc", voc_features(), {"train": [voc_example(0, objects)]})
    read_record = Records.read
    hidden = {"objects/label": [-1]}
    monkeypatch.setattr(Records, "read", lambda *given: {**read_record(*given), **hidden})
    with pytest.raises(UserError, match="voc:train: an object of 000000.jpg has the label -1"):
        TfdsObjects("voc", str(tmp_path), "train")
