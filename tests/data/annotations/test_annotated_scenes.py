import numpy as np
import pytest

from ssl_tf.data.annotations.annotated_scenes import AnnotatedScenes
from ssl_tf.data.scenes.objects import ObjectScenes
from ssl_tf.data.scenes.shapes import CLASSES, Scenes, render_scene
from ssl_tf.data.sources.tfds import PreparedDataset
from tests.data.annotations.annotated_files import read
from tests.data.prepared_tfds import prepare


@pytest.fixture(scope="module")
def scenes():
    return Scenes("train", 30, 48)


def test_masks_are_of_what_is_visible(scenes):
    source = AnnotatedScenes(scenes, masks=True)
    hidden = 0
    for index, example in enumerate(read(source)):
        scene = render_scene(0, index, 48)
        masks, boxes = example["masks"], example["boxes"]
        assert masks.shape == (len(boxes), 48, 48) and masks.sum(0).max() == 1
        np.testing.assert_array_equal(masks.sum((1, 2)), example["areas"])
        for mask, box, label in zip(masks, boxes, example["classes"]):
            y, x = np.nonzero(mask)
            np.testing.assert_allclose(
                box * 48, [y.min(), x.min(), y.max() + 1, x.max() + 1], atol=1e-4
            )
            whole = scene.boxes[list(scene.box_labels).index(label)] * 48
            # A pixel shows the object of its first sample: half a pixel of the box may be lost.
            assert (box[:2] * 48 >= whole[:2] - 0.6).all() and (
                box[2:] * 48 <= whole[2:] + 0.6
            ).all()
            hidden += (np.abs(box * 48 - whole) > 1.1).any()
    assert hidden > 0


def test_the_area_of_a_whole_shape(scenes):
    # Alone in its scene, a disc of scale s covers 0.85 pi (s / 2)^2, whatever its stretch (<= 1).
    alone = 0
    for index in range(200):
        scene = render_scene(0, index, 48)
        if len(scene.box_labels) == 1 and scene.label == list(CLASSES).index("disc"):
            sides = (scene.boxes[0, 2:] - scene.boxes[0, :2]) * 48
            ellipse = np.pi / 4 * sides.max() ** 2
            assert 0.8 * ellipse < (scene.owners == 1).sum() < 1.05 * ellipse
            alone += 1
    assert alone > 0


def test_objects_of_one_class_are_where_they_were(scenes):
    objects, maps = (
        AnnotatedScenes(scenes, masks=True, one_class=True),
        AnnotatedScenes(scenes, label_maps=True, one_class=True),
    )
    assert objects.class_names == ("object",) and maps.class_names == ("background", "object")
    for one, label_map, other in zip(
        read(objects), read(maps), read(AnnotatedScenes(scenes, masks=True)), strict=True
    ):
        np.testing.assert_array_equal(one["boxes"], other["boxes"])
        assert not one["classes"].any()
        np.testing.assert_array_equal(label_map["label_map"], other["masks"].any(0))


def test_label_maps_have_the_ground_as_class_0(scenes):
    objects, maps = AnnotatedScenes(scenes, masks=True), AnnotatedScenes(scenes, label_maps=True)
    assert maps.class_names == ("background", *CLASSES)
    for with_masks, with_map in zip(read(objects), read(maps)):
        painted = np.zeros((48, 48), int)
        for mask, label in zip(with_masks["masks"], with_masks["classes"]):
            painted[mask > 0] = label + 1
        np.testing.assert_array_equal(with_map["label_map"], painted)
        assert with_map["id"] == with_masks["id"] and with_map["image"] == with_masks["image"]


def test_masks_of_pasted_images_are_squares_less_what_covers_them(tmp_path):
    prepare(tmp_path, counts={"train": [12], "test": [6]})
    scenes = ObjectScenes(PreparedDataset("animals", str(tmp_path), "train", 1), "train", 6, 32)
    source = AnnotatedScenes(scenes, masks=True)
    for whole, example in zip(scenes.sequence().as_numpy_iterator(), read(source)):
        covered = np.zeros((32, 32), bool)
        for mask, box in list(zip(example["masks"], whole["boxes"]))[::-1]:
            top, left, bottom, right = np.round(box * 32).astype(int)
            square = np.zeros((32, 32), bool)
            square[top:bottom, left:right] = True
            np.testing.assert_array_equal(mask, square & ~covered)
            covered |= square
