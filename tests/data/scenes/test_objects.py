import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssl_tf.data.batches import evaluation_batches, training_batches
from ssl_tf.data.order import Steps
from ssl_tf.data.scenes import objects
from ssl_tf.data.scenes.objects import ObjectScenes, draw_layout, render_layout
from ssl_tf.data.scenes.renderer import SAMPLES, TEXTURES, SceneRenderer
from ssl_tf.data.sources.folder import ImageFolder
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.settings import PretrainSettings, flagfiles
from tests.data.opened import source_of
from tests.data.prepared_tfds import prepare, prepare_several
from tests.data.tiny_images import png, write_folder

MEMBERS = {kind: np.arange(7 * kind, 7 * kind + 7) for kind in range(10)}


def area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def test_layouts():
    size, counts, seen, areas = 64, [], set(), []
    for index in range(300):
        layout = draw_layout(0, index, size, MEMBERS)
        assert len(set(layout.labels)) == len(layout.labels) == len(layout.rows)
        np.testing.assert_array_equal(layout.rows // 7, layout.labels)
        boxes = layout.boxes
        assert (boxes >= 0).all() and (boxes <= size).all()
        sides = boxes[:, 2:] - boxes[:, :2]
        assert (sides[:, 0] == sides[:, 1]).all() and sides.min() >= 16 and sides.max() <= 32
        painted = np.zeros((len(boxes), size, size), bool)
        for mask, (top, left, bottom, right) in zip(painted, boxes):
            mask[top:bottom, left:right] = True
        for a in range(len(boxes)):
            for b in range(a):
                common = (painted[a] & painted[b]).sum()
                assert common <= 0.1 * min(area(boxes[a]), area(boxes[b]))
        counts.append(len(boxes))
        seen |= set(layout.rows)
        areas += [area(box) / size**2 for box in boxes]
    # A third each: 100 +- 3 standard deviations of 8.
    assert (np.abs(np.bincount(counts, minlength=5)[2:] - 100) < 25).all()
    assert len(seen) == 70
    assert 0.1 < np.mean(areas) < 0.14


def test_a_layout_is_a_function_of_seed_and_index():
    def told(*arguments):
        layout = draw_layout(*arguments, 64, MEMBERS)
        return (*layout.rows, *layout.boxes.ravel())

    assert told(1, 2) == told(1, 2)
    assert len({told(1, 2), told(2, 2), told(1, 3)}) == 3


def test_two_classes_make_scenes_of_two():
    for index in range(20):
        assert sorted(draw_layout(0, index, 32, {3: [5], 8: [9]}).rows) == [5, 9]


def test_objects_are_pasted_where_the_boxes_are(monkeypatch):
    monkeypatch.setattr(SceneRenderer, "finish", lambda canvas: canvas._image)
    size = 40
    for index in range(20):
        layout = draw_layout(3, index, size, MEMBERS)
        colors = [np.uint8([20 * n, 255 - 60 * n, 77]) for n in range(len(layout.rows))]
        images = [np.tile(color, (9, 9, 1)) for color in colors]
        scene = render_layout(layout, 3, index, size, images, 10)
        np.testing.assert_allclose(scene.boxes * size, layout.boxes, atol=1e-5)
        assert set(np.flatnonzero(scene.label)) == set(layout.labels) == set(scene.box_labels)
        assert scene.label.dtype == np.float32 and scene.label.shape == (10,)
        random = np.random.default_rng([3, index, objects._PAINT])
        bare = SceneRenderer(random, size, random.integers(len(TEXTURES)))._image
        outside = np.ones(bare.shape[:2], bool)
        for number, box in enumerate(layout.boxes):
            top, left, bottom, right = box * SAMPLES
            outside[top:bottom, left:right] = False
            if number == len(colors) - 1:  # over which no other lies
                ninth = (bottom - top) // 9 + 1
                core = scene.image[top + ninth : bottom - ninth, left + ninth : right - ninth]
                np.testing.assert_allclose(
                    core, np.broadcast_to(colors[-1] / 255, core.shape), atol=1e-6
                )
                if not (layout.boxes[:-1, :2] <= box[:2]).all(axis=1).any():
                    # A soft corner: the opacity is (0.5 / 0.1 side)^2, and the side 20 or more.
                    corner, ground = scene.image[top, left], bare[top, left]
                    assert (np.abs(corner - ground) <= 0.07 * np.abs(core[0, 0] - ground)).all()
        np.testing.assert_array_equal(scene.image[outside], bare[outside])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    prepare(folder)
    return folder


def opened(root, split="train"):
    return source_of(
        dataset="scenes",
        split=split,
        scenes=12,
        scene_size=24,
        scene_objects="animals",
        data_dir=str(root),
    )


def test_each_split_has_the_objects_of_its_own(root):
    for seed, split, count in ((0, "train", 12), (1, "test", 3)):
        source = opened(root, split)
        assert (source.name, source.size, source.num_classes, source.multi_label) == (
            f"scenes of animals:{split}", count, 3, True,
        )  # fmt: skip
        assert source.class_names == ("cat", "dog", "eel")
        objects = source_of(dataset="animals", data_dir=str(root), split=split)
        images, labels = [], []
        for record in objects.sequence().as_numpy_iterator():
            images.append(tf.io.decode_png(record["image"]).numpy()[:, 1:7])
            labels.append(record["label"])
        members = {kind: np.flatnonzero(np.array(labels) == kind) for kind in range(3)}
        for index, record in enumerate(source.sequence().as_numpy_iterator()):
            layout = draw_layout(seed, index, 24, members)
            scene = render_layout(layout, seed, index, 24, [images[row] for row in layout.rows], 3)
            np.testing.assert_array_equal(tf.io.decode_png(record["image"]), scene.image)
            np.testing.assert_array_equal(record["boxes"], scene.boxes)
            np.testing.assert_array_equal(record["label"], scene.label)
            assert record["id"].decode() == f"scenes/{split}/{index}" and record["index"] == index


def test_a_photograph_is_the_ground_and_nothing_else_changes(monkeypatch):
    monkeypatch.setattr(SceneRenderer, "finish", lambda canvas: canvas._image)
    monkeypatch.setattr(SceneRenderer, "_mark", lambda canvas: canvas._random.random())
    layout, size = draw_layout(3, 0, 40, MEMBERS), 40
    images = [np.full((9, 9, 3), 77, np.uint8)] * len(layout.rows)
    photograph = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    plain = render_layout(layout, 3, 0, size, images, 10)
    scene = render_layout(layout, 3, 0, size, images, 10, photograph)
    np.testing.assert_array_equal(scene.boxes, plain.boxes)
    inside = np.zeros(scene.image.shape[:2], bool)
    for top, left, bottom, right in layout.boxes * SAMPLES:
        inside[top:bottom, left:right] = True
        edge = (bottom - top) // 9 + 1
        core = slice(top + edge, bottom - edge), slice(left + edge, right - edge)
        np.testing.assert_allclose(scene.image[core], plain.image[core], atol=1e-6)
    enlarged = Image.fromarray(photograph).resize((size * SAMPLES,) * 2, Image.Resampling.BICUBIC)
    enlarged = np.asarray(enlarged, np.float32) / 255
    mean = enlarged.mean(axis=(0, 1))
    expected = mean + 0.6 * (enlarged - mean)
    np.testing.assert_allclose(scene.image[~inside], expected[~inside], atol=1e-6)


def test_each_scene_has_a_ground_of_its_own(root, tmp_path):
    def scenes(scenes, split="train", **more):
        return source_of(
            dataset="scenes", split=split, scenes=scenes, scene_size=24, scene_objects="animals",
            data_dir=str(root), **more,
        )  # fmt: skip

    ground = source_of(dataset="animals", data_dir=str(root)).size
    plain, photographed = (
        [tf.io.decode_png(x["image"]).numpy() for x in source.sequence().as_numpy_iterator()]
        for source in (scenes(4), scenes(4, scene_ground="animals"))
    )
    assert scenes(4, scene_ground="animals").name == "scenes of animals on animals:train"
    assert all((one != other).any() for one, other in zip(plain, photographed))
    rows = objects._grounds(ImageFolder(write_folder(tmp_path / "g", {
        f"{n}.png": png(n) for n in range(5)
    })), 0, 5, 8)  # fmt: skip
    assert len({row.tobytes() for row in rows}) == 5
    with pytest.raises(SettingsError, match=f"animals:train has {ground} images, and each of"):
        scenes(ground + 1, scene_ground="animals")


def test_batches_have_multi_hot_labels(root):
    source = opened(root)
    labels = [record["label"] for record in source.sequence().as_numpy_iterator()]
    batches = evaluation_batches(source, 16, 5)
    assert batches.element_spec["label"].shape.as_list() == [None, 3]
    found = np.concatenate([batch["label"] for batch in batches.as_numpy_iterator()])
    np.testing.assert_array_equal(found, labels)
    rest, held = source.hold_out(4)
    assert rest.multi_label and held.multi_label
    batch = next(
        training_batches(
            rest,
            lambda image, seed: {"views": (tf.image.resize(image, [8, 8]),)},
            Steps(0, 8, 0, 1),
        ).as_numpy_iterator()
    )
    kept = [example["label"] for example in rest.sequence().as_numpy_iterator()]
    assert len(kept) == 8
    assert sorted(map(tuple, batch["label"])) == sorted(map(tuple, kept))


def test_large_objects_are_kept_no_larger_than_needed():
    image = np.arange(300 * 200 * 3, dtype=np.uint8).reshape(300, 200, 3)
    assert objects._square(image, 32).shape == (32, 32, 3)
    np.testing.assert_array_equal(objects._square(image, 200), image[50:250])


def test_objects_that_cannot_be_pasted(tmp_path, root):
    flat = ImageFolder(write_folder(tmp_path / "flat", {"0.png": png(0)}))
    with pytest.raises(SettingsError, match="--scene_objects: folder .*flat has not one label an"):
        ObjectScenes(flat, "train", 4, 24)
    with pytest.raises(SettingsError, match="scenes of animals:train has not one label an image"):
        ObjectScenes(opened(root), "train", 4, 24)
    single = ImageFolder(write_folder(tmp_path / "single", {"a/0.png": png(0), "a/1.png": png(1)}))
    with pytest.raises(SettingsError, match="has images of 1 class; a scene shows 2 or more"):
        ObjectScenes(single, "train", 4, 24)
    broken = ImageFolder(write_folder(tmp_path / "broken", {"a/0.png": b"no", "b/1.png": png(1)}))
    with pytest.raises(UserError, match="--scene_objects: cannot decode a/0.png of folder"):
        ObjectScenes(broken, "train", 4, 24)
    with pytest.raises(SettingsError, match="splits train, test, not 'train.:50%.'"):
        opened(root, "train[:50%]")


def test_the_labels_of_objects_can_be_named(tmp_path):
    prepare_several(tmp_path)
    given = dict(dataset="scenes", data_dir=str(tmp_path), scene_objects="toys", scenes=8)
    assert list(source_of(**given).guesses) == ["label_feature"]
    scenes = source_of(**given, label_feature="pose")
    assert scenes.guesses == {} and scenes.class_names == ("left", "right", "up")
    # Reports tell these from scenes of the other label.
    assert scenes.name == "scenes of toys (pose):train"
    with pytest.raises(SettingsError, match="--scene_ground: pairs.*none is called image"):
        source_of(**given, scene_ground="pairs")


def test_objects_without_scenes():
    with pytest.raises(SettingsError, match="--scene_objects=cifar10: only scenes have objects"):
        flagfiles.parse(["--dataset=cifar10", "--scene_objects=cifar10"], PretrainSettings)
