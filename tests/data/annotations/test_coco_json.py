import json
from pathlib import Path

import numpy as np
import pytest

from ssl_tf.data.annotations.coco_json import CocoImages
from ssl_tf.data.annotations.open_annotated import with_objects
from ssl_tf.errors import SettingsError, UserError
from tests.data.annotations.annotated_files import read, write_coco
from tests.data.tiny_images import png

RUNS = {"size": [6, 8], "counts": [6, 4, 38]}
ANNOTATIONS = [
    {
        "image_id": 0,
        "category_id": 7,
        "bbox": [1, 2, 4, 3],
        "area": 10.5,
        "iscrowd": 0,
        "segmentation": [[1, 2, 5, 2, 5, 5, 1, 5]],
    },
    {
        "image_id": 20,
        "category_id": 3,
        "bbox": [1, 0, 1, 4],
        "area": 4,
        "iscrowd": 1,
        "segmentation": RUNS,
    },
    {
        "image_id": 0,
        "category_id": 3,
        "bbox": [4, 4, 9, 9],
        "area": 8,
        "segmentation": [[4, 4, 13, 4, 13, 13, 4, 13]],
    },
]


def test_no_class_of_a_label_map_is_the_ignored_label(tmp_path):
    square = [[0, 0, 4, 0, 4, 4, 0, 4]]
    found = [
        {
            "image_id": 0,
            "category_id": 253,
            "bbox": [0, 0, 4, 4],
            "segmentation": square,
            "area": 16,
        }
    ]
    # The last of 254 categories has the label 254, the last of 255 would have 255.
    given = write_coco(tmp_path / "254", found, categories=range(254))
    assert read(CocoImages(*given, label_maps=True))[0]["label_map"].max() == 254
    given = write_coco(tmp_path / "255", found, categories=range(255))
    with pytest.raises(SettingsError, match="256 classes; label 255 is ignored, .* at most 255"):
        CocoImages(*given, label_maps=True)
    assert CocoImages(*given, masks=True).num_classes == 255


def test_objects_of_each_image_and_ids_with_holes(tmp_path):
    source = CocoImages(*write_coco(tmp_path, ANNOTATIONS), masks=True)
    assert (source.size, source.num_classes) == (3, 2)
    assert source.class_names == ("kind3", "kind7")
    np.testing.assert_array_equal(source.category_ids, [3, 7])
    first, second, third = read(source)
    assert [e["id"] for e in (first, second, third)] == [b"0", b"10", b"20"]
    assert first["image"] == png(0) and first["index"] == 0
    np.testing.assert_array_equal(first["size"], [6, 8])
    np.testing.assert_allclose(
        first["boxes"], [[2 / 6, 1 / 8, 5 / 6, 5 / 8], [4 / 6, 4 / 8, 1, 1]], rtol=1e-6
    )
    np.testing.assert_array_equal(first["classes"], [1, 0])
    np.testing.assert_array_equal(first["areas"], [10.5, 8])
    np.testing.assert_array_equal(first["crowd"], [False, False])
    masks = np.zeros((2, 6, 8), np.uint8)
    masks[0, 2:5, 1:5] = 1
    masks[1, 4:, 4:] = 1
    np.testing.assert_array_equal(first["masks"], masks)
    assert second["masks"].shape == (0, 6, 8) and second["boxes"].shape == (0, 4)
    np.testing.assert_array_equal(third["crowd"], [True])
    np.testing.assert_array_equal(np.argwhere(third["masks"][0]), [[0, 1], [1, 1], [2, 1], [3, 1]])
    assert source.bad.count == 0
    # A crowd alone is nothing to learn from.
    np.testing.assert_array_equal(source.learned_objects(), [2, 0, 0])
    kept = with_objects(source)
    assert [e["id"] for e in read(kept)] == [b"0"]
    np.testing.assert_array_equal(kept.class_counts(), [1, 1])


def test_a_label_map_of_the_masks_has_smaller_objects_before_larger_and_crowds_ignored(tmp_path):
    small = {"image_id": 0, "category_id": 7, "bbox": [4, 4, 1, 1], "area": 1}
    small["segmentation"] = [[4, 4, 5, 4, 5, 5, 4, 5]]
    source = CocoImages(*write_coco(tmp_path, [*ANNOTATIONS, small]), label_maps=True)
    assert source.class_names == ("background", "kind3", "kind7")
    assert source.stored_ids == (None, 3, 7)
    first, second, third = read(source)
    expected = np.zeros((6, 8), np.int32)
    expected[2:5, 1:5] = 2
    expected[4:, 4:] = 1
    expected[4, 4] = 2
    np.testing.assert_array_equal(first["label_map"], expected)
    assert not second["label_map"].any() and "boxes" not in first
    assert (third["label_map"] == 255).sum() == 4


@pytest.mark.parametrize("area", [0, -1, None, float("nan")])
def test_an_area_that_is_none_is_that_of_the_box_and_hides_no_object(tmp_path, area):
    small = {"image_id": 0, "category_id": 7, "bbox": [5, 4, 1, 1], "area": area}
    small["segmentation"] = [[5, 4, 6, 4, 6, 5, 5, 5]]
    large = {**ANNOTATIONS[2], "area": area}
    given = write_coco(tmp_path, [small, large])
    np.testing.assert_array_equal(read(CocoImages(*given))[0]["areas"], [1, 8])
    label_map = read(CocoImages(*given, label_maps=True))[0]["label_map"]
    assert label_map[4, 5] == 2 and (label_map == 1).sum() == 7


@pytest.mark.parametrize(
    "iscrowd, crowd",
    [
        (0, False),
        (1, True),
        ("0", False),
        ("1", True),
        (True, True),
        (None, False),
        (0.0, False),
        (1.0, True),
    ],
)
def test_a_crowd_is_told_by_a_number_or_its_text(tmp_path, iscrowd, crowd):
    # Numbers of pandas are floats, ids among them.
    given = {**ANNOTATIONS[0], "iscrowd": iscrowd, "category_id": 7.0}
    source = CocoImages(*write_coco(tmp_path, [given]))
    np.testing.assert_array_equal(read(source)[0]["crowd"], [crowd])


def test_an_object_that_is_listed_twice_is_told_and_counts(tmp_path, capsys):
    first, _, other = ANNOTATIONS
    elsewhere = {**first, "image_id": 20}
    source = CocoImages(*write_coco(tmp_path, [first, other, elsewhere, {**first, "area": 9}]))
    np.testing.assert_array_equal(source.learned_objects(), [3, 0, 1])
    (told,) = [line for line in capsys.readouterr().err.splitlines() if "1 objects have" in line]
    assert (
        "the class and the box of another, and count beside it: annotation 103 of image 0" in told
    )


def test_bad_annotations_are_counted_named_and_left_out(tmp_path, capsys):
    good = ANNOTATIONS[0]
    bad = [
        {**good, "bbox": [1, 1, 0, 3]},
        {**good, "bbox": [9, 1, 3, 3]},
        {**good, "bbox": None},
        {**good, "category_id": 5},
        {**good, "category_id": [7]},
        {**good, "iscrowd": "no"},
        {**good, "image_id": 5},
        {**good, "segmentation": {"size": [8, 6], "counts": [48]}},
    ]
    source = CocoImages(*write_coco(tmp_path, [*bad, good]), masks=True)
    assert source.bad.count == 8
    first = read(source)[0]
    np.testing.assert_array_equal(first["areas"], [10.5])
    assert first["masks"].sum() == 12
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 7 and "1 of 3 boxes reach more than 2 pixels" in told[-1]
    assert any(
        "2 boxes without an area in the image, left out: annotation 100 of image 0, annotation 101"
        in line
        for line in told
    )


def test_the_ids_of_the_json_are_kept_beside_those_of_the_examples(tmp_path):
    path, folder = write_coco(tmp_path, ANNOTATIONS)
    source = CocoImages(path, folder)
    assert source.image_ids() == [0, 10, 20]
    assert source.part(np.array([False, True, True]), "two").image_ids() == [10, 20]
    content = json.loads(Path(path).read_text())
    for image, name in zip(content["images"], ("b", "007", "12")):
        image["id"] = name
    Path(path).write_text(json.dumps({**content, "annotations": []}))
    assert CocoImages(path, folder).image_ids() == ["007", "12", "b"]


def test_classes_without_an_object_are_told(tmp_path, capsys):
    CocoImages(*write_coco(tmp_path, ANNOTATIONS[:1])).warn_of_empty_classes()
    assert "1 of 2 classes have no object, and are not learned: kind3" in capsys.readouterr().err


def test_masks_and_the_image_must_be_of_one_size(tmp_path):
    path, folder = write_coco(tmp_path, ANNOTATIONS)
    (Path(folder) / "000000000000.png").write_bytes(png(0, 5, 8))
    source = CocoImages(path, folder, masks=True)
    with pytest.raises(UserError, match="8x5 pixels, but its annotation is of 8x6"):
        with source.reading():
            read(source)


@pytest.mark.parametrize(
    "key, told", [("images", "has no images"), ("categories", "has no categories")]
)
def test_a_json_of_something_else(tmp_path, key, told):
    path, folder = write_coco(tmp_path, ANNOTATIONS)
    content = json.loads(Path(path).read_text())
    del content[key]
    Path(path).write_text(json.dumps(content))
    with pytest.raises(UserError, match=told):
        CocoImages(path, folder)
    Path(path).write_text("{")
    with pytest.raises(UserError, match="is no JSON"):
        CocoImages(path, folder)


def test_an_image_that_is_missing_is_told(tmp_path):
    path, folder = write_coco(tmp_path, ANNOTATIONS)
    (Path(folder) / "000000000001.png").unlink()
    with pytest.raises(UserError, match="1 of its 3 images are not in .*000000000001.png"):
        CocoImages(path, folder)


def wide(tmp_path, *boxes):
    found = [{"image_id": 0, "category_id": 3, "bbox": box} for box in boxes]
    return CocoImages(*write_coco(tmp_path, found, height=40, width=60))


def test_boxes_that_look_like_another_format_are_told(tmp_path, capsys):
    # Rounding may lead two pixels beyond the border.
    wide(tmp_path / "rounded", [-2, 0, 5, 5], [50, 30, 12, 12])
    assert capsys.readouterr().err == ""
    source = wide(tmp_path, [1, 2, 4, 3], [40, 20, 23, 5], [5, 5, 0.5, 9], [0, 0, 60, 40])
    np.testing.assert_allclose(read(source)[0]["boxes"][1], [0.5, 40 / 60, 25 / 40, 1], rtol=1e-6)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and source.bad.count == 0
    assert (
        "1 of 4 boxes reach more than 2 pixels beyond their image, such as annotation 101"
        in told[0]
    )
    assert "1 of 4 boxes have a side below a pixel, such as annotation 102 of image 0" in told[1]


@pytest.mark.parametrize(
    "boxes, told",
    [
        # Corners in place of width and height; fractions; nonsense.
        (([40, 20, 55, 35], [1, 2, 5, 6], [30, 10, 50, 30]), "2 of 3 boxes reach more than 2"),
        (([0.3, 0.2, 0.4, 0.5],), "1 of 1 boxes have a side below a pixel"),
        (([-500, -500, 5000, 5000], [900, 0, 5, 5], [1, 1, 4, 4]), "2 of 3 boxes reach"),
    ],
)
def test_boxes_of_another_format_are_refused(tmp_path, boxes, told):
    with pytest.raises(
        UserError, match=rf"{told}.*give boxes as \[x, y, width, height\] in pixels"
    ):
        wide(tmp_path, *boxes)


@pytest.mark.parametrize("size", [(0, 8), (6, 0), (0, 0), (-6, 8)])
def test_an_image_without_a_size_is_told_before_any_step(tmp_path, size):
    height, width = size
    given = write_coco(tmp_path, [])
    content = json.loads(Path(given[0]).read_text())
    content["images"][0] |= {"height": height, "width": width}
    Path(given[0]).write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"image 20 has the width and height {width}x{height}; wri"):
        CocoImages(*given)
