import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.data.scenes import shapes
from ssl_tf.data.scenes.shapes import CLASSES, render_scene
from ssl_tf.errors import SettingsError
from tests.data.opened import source_of


def test_a_scene_is_a_function_of_seed_and_index():
    first = render_scene(1, 2, 48)
    again = render_scene(1, 2, 48)
    np.testing.assert_array_equal(first.image, again.image)
    for other in (render_scene(2, 2, 48), render_scene(1, 3, 48)):
        assert np.abs(first.image.astype(int) - other.image).mean() > 10


@pytest.mark.parametrize("size", [17, 48])
def test_objects_of_a_scene(size):
    labels, counts = [], []
    for index in range(60):
        scene = render_scene(0, index, size)
        assert scene.image.shape == (size, size, 3) and scene.image.dtype == np.uint8
        assert scene.image.std() > 5
        assert scene.boxes.dtype == np.float32 and scene.boxes.shape == (len(scene.box_labels), 4)
        assert scene.box_labels[0] == scene.label
        assert len(set(scene.box_labels)) == len(scene.box_labels)
        ymin, xmin, ymax, xmax = scene.boxes.T
        assert (ymin >= 0).all() and (xmin >= 0).all() and (ymax <= 1).all() and (xmax <= 1).all()
        sides = np.maximum(ymax - ymin, xmax - xmin)
        assert (sides[0] > 0.8 * sides[1:]).all() and (sides <= 0.75).all() and (sides > 0.1).all()
        labels.append(scene.label)
        counts.append(len(scene.box_labels))
    assert set(labels) == set(range(len(CLASSES))) and set(counts) == {1, 2, 3, 4}


def test_boxes_are_tight(monkeypatch):
    # A flat dark ground and flat light objects: the box is where the image is light.
    monkeypatch.setattr(shapes._ShapeRenderer, "_mark", lambda canvas: None)
    monkeypatch.setattr(shapes._ShapeRenderer, "_shade", lambda canvas, inside, corner: None)
    monkeypatch.setattr(shapes._ShapeRenderer, "_contrasting", lambda canvas, color: np.ones(3))
    monkeypatch.setattr(
        shapes._ShapeRenderer,
        "_textured",
        lambda canvas, y, x, color, strength, typical: np.full(
            (y * x).shape + (3,), float(strength < 1), np.float32
        ),
    )
    monkeypatch.setattr(shapes._ShapeRenderer, "finish", lambda canvas: canvas._image)
    single = 0
    for index in range(40):
        scene = render_scene(0, index, 48)
        light = scene.image.max(axis=-1) > 0
        y, x = np.nonzero(light)
        whole = np.concatenate([scene.boxes[:, :2].min(0), scene.boxes[:, 2:].max(0)]) * 96
        np.testing.assert_allclose(whole, [y.min(), x.min(), y.max() + 1, x.max() + 1], atol=1e-4)
        single += len(scene.boxes) == 1
    assert single > 3


@pytest.mark.parametrize(
    "name, area",
    [
        ("disc", 0.85 * np.pi),
        ("square", 1.4**2),
        ("triangle", 3 * np.sqrt(3) / 4),
        ("star", 5 * 0.42 * np.sin(np.pi / 5)),
        ("ring", np.pi * (0.98**2 - 0.56**2)),
        ("cross", 4 * 0.92 * 0.5 - 0.25),
        ("hourglass", 4 * 0.85 * (0.05 + 0.31 * 0.85)),
    ],
)
def test_areas_of_the_shapes(name, area):
    axis = np.linspace(-1.2, 1.2, 1201)
    inside = CLASSES[name](axis[None, :], axis[:, None])
    assert inside.mean() * 2.4**2 == pytest.approx(area, rel=0.01)


@pytest.mark.parametrize("name", CLASSES)
def test_shapes_fill_the_unit_circle_and_stay_in_it(name):
    axis = np.linspace(-1.5, 1.5, 301)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    inside = CLASSES[name](x, y)
    radius = np.hypot(x, y)[inside].max()
    assert 0.9 < radius < 1.08
    assert 0.2 < inside.mean() * 9 / np.pi < 0.9


def test_raw_pixels_say_little_about_the_class():
    # Cosine kNN, k = 20: chance is 0.1; 2,000 against 500 scenes of 48 pixels give 0.148.
    def rendered(seed, count):
        made = [render_scene(seed, index, 24) for index in range(count)]
        pixels = np.stack([scene.image.ravel() for scene in made]).astype(np.float32)
        pixels /= np.linalg.norm(pixels, axis=1, keepdims=True)
        return pixels, np.array([scene.label for scene in made])

    bank, bank_labels = rendered(0, 1000)
    queries, labels = rendered(1, 300)
    similarity = queries @ bank.T
    nearest = np.argsort(-similarity, axis=1)[:, :20]
    weights = np.exp(np.take_along_axis(similarity, nearest, 1) / 0.07)
    votes = np.stack([(weights * (bank_labels[nearest] == c)).sum(1) for c in range(10)], -1)
    assert (votes.argmax(1) == labels).mean() < 0.2


def test_surface_and_habitat_together_are_typical_of_one_class():
    pairs = {(shapes.background_of(kind), shapes.surface_of(kind)) for kind in range(len(CLASSES))}
    assert len(pairs) == len(CLASSES)
    assert all(ground != surface for ground, surface in pairs)


def test_the_source():
    train = source_of(dataset="scenes", scenes=12, scene_size=20)
    test = source_of(dataset="scenes", split="test", scenes=12, scene_size=20)
    assert (train.size, test.size, train.num_classes) == (12, 3, len(CLASSES))
    assert train.class_names == tuple(CLASSES) and (train.name, test.name) == (
        "scenes:train",
        "scenes:test",
    )
    for seed, source in ((0, train), (1, test)):
        for index, record in enumerate(source.sequence().as_numpy_iterator()):
            scene = render_scene(seed, index, 20)
            np.testing.assert_array_equal(tf.io.decode_png(record["image"]), scene.image)
            np.testing.assert_array_equal(record["boxes"], scene.boxes)
            assert record["label"] == scene.label
            assert record["id"].decode() == f"{source.name.replace(':', '/')}/{index}"


def test_unknown_split():
    with pytest.raises(SettingsError, match="splits train, test, not 'validation'"):
        source_of(dataset="scenes", split="validation")
