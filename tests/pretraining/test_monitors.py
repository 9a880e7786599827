import math
import time

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import average_precision_score

from ssl_tf.data.scenes.shapes import Scenes
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import UserError
from ssl_tf.evaluation import features
from ssl_tf.evaluation.metrics import embedding_std, rankme, uniformity
from ssl_tf.pretraining import monitors
from ssl_tf.pretraining.monitors import RepresentationMonitor, collapse_reason, spread
from ssl_tf.settings import MonitorSettings, ViewSettings, flagfiles
from ssl_tf.views.recipe import Recipe
from tests.evaluation.multi_label_source import Shades


def verdict(z):
    return collapse_reason(embedding_std(z), rankme(z), z.shape[1], len(z))


def test_spread_out_embeddings_are_healthy():
    z = np.random.default_rng(0).normal(size=(500, 64))
    assert verdict(z) is None


def test_one_point_is_a_collapse():
    random = np.random.default_rng(1)
    z = np.ones((500, 64)) + 1e-3 * random.normal(size=(500, 64))
    assert "standard deviation" in verdict(z)


def test_one_line_is_a_collapse():
    random = np.random.default_rng(2)
    z = random.normal(size=(500, 1)) * np.ones((1, 64)) * random.choice([-1, 1], 64)
    assert "effective rank" in verdict(z)


@pytest.mark.parametrize("d", [8, 2048])
def test_the_threshold_scales_with_the_dimension(d):
    healthy = 1 / math.sqrt(d)
    assert collapse_reason(0.11 * healthy, 5.0, d, 500) is None
    assert collapse_reason(0.09 * healthy, 5.0, d, 500) is not None


def test_two_embeddings_lie_on_a_line_whatever_the_network():
    assert verdict(np.eye(2, 64)) is None
    assert "standard deviation" in verdict(np.ones((2, 64)))
    assert verdict(np.eye(3, 64)) is None
    on_a_line = np.eye(1, 64) * np.array([[1.0], [-1.0], [1.0]])
    assert verdict(on_a_line) is not None


def test_spread_takes_at_most_what_there_is():
    class Ten:
        size = 10

        def hold_out(self, count):
            return "rest", f"{count} held"

    source = Ten()
    assert spread(source, 4) == "4 held"
    assert spread(source, 10) is source and spread(source, 11) is source


class MeanColor:
    """A method whose encoder gives the mean colour, and whose embedding is the same."""

    against_collapse = "Show it more colours"

    def embed(self, images, view):
        color = tf.reduce_mean(tf.cast(images, tf.float32), axis=[1, 2]) - 100
        return color, color


class OnePoint(MeanColor):
    """Whatever it is shown, it sees the same."""

    def embed(self, images, view):
        color, _ = super().embed(images, view)
        return color, tf.ones_like(color)


def monitor_of(method, bank, queries, *flags, as_scenes=False, recipe=None, **views):
    views = dict(image_size=16, crop="full", view_strategies=("plain",) * 2) | views
    return RepresentationMonitor(
        0,
        method=method,
        recipe=recipe or Recipe(ViewSettings(**views)),
        as_scenes=as_scenes,
        settings=flagfiles.parse(["--knn_k=9", "--monitor_queries=30", *flags], MonitorSettings),
        log=None,
        source=bank,
        held_out=queries,
        every=1,
        last_step=1,
        seed=0,
    )


def test_a_collapse_is_told_with_what_helps_this_method(capsys):
    assert monitor_of(OnePoint(), Shades(10, 0), Shades(8, 1)).measure()["collapsed"] == 1.0
    told = capsys.readouterr().err
    assert "COLLAPSE" in told and "means nothing now. Show it more colours.\n" in told


class Counted:
    """A recipe that counts the images of which it makes views."""

    takes_boxes = False

    def __init__(self):
        self.settings = ViewSettings(image_size=16, crop="full", view_strategies=("plain",) * 2)
        self.recipe, self.count = Recipe(self.settings), 0

    def __call__(self, image, seed):
        def count(seed):
            self.count += 1
            return seed

        return self.recipe(image, tf.ensure_shape(tf.numpy_function(count, [seed], tf.int64), [2]))


def few_at_once(monkeypatch, count):
    for module in (features, monitors):
        monkeypatch.setattr(module, "BATCH", count)


def test_no_measurement_is_read_ahead_beside_the_training(monkeypatch):
    few_at_once(monkeypatch, 4)
    recipe = Counted()
    monitor = monitor_of(MeanColor(), Shades(10, 0), Shades(40, 1), recipe=recipe)
    found = []
    for look in (1, 2):
        found.append(monitor.measure())
        time.sleep(0.5)  # in which an iterator with a prefetch of its own would go on
        assert recipe.count == look * 32  # 30 images, and two that fill the last batch
    assert found[0] == found[1]


class NoNumber(MeanColor):
    """A network that has diverged."""

    def embed(self, images, view):
        color, _ = super().embed(images, view)
        return color, color * np.nan


def test_embeddings_that_are_no_numbers_are_one_line():
    with pytest.raises(UserError, match="not finite.*lower --base_learning_rate"):
        monitor_of(NoNumber(), Shades(10, 0), Shades(8, 1)).measure()


def test_images_that_do_not_fill_the_last_batch_are_measured_too(monkeypatch):
    def measured(batch):
        few_at_once(monkeypatch, batch)
        return monitor_of(MeanColor(), Shades(40, 0), Shades(30, 1)).measure()

    whole = measured(30)
    assert measured(16) == pytest.approx(whole, rel=1e-5) and measured(15) == pytest.approx(whole)


def test_unreadable_images_are_no_copies_of_others():
    queries = Shades(30, 1)
    colors = np.array([tf.io.decode_png(image).numpy()[0, 0] - 100.0 for image in queries._images])
    broken = np.arange(30) % 4 == 1
    queries._images = tf.where(broken, b"no image", queries._images)
    queries.unreadable = UnreadableImages(8)
    found = monitor_of(MeanColor(), Shades(40, 0), queries).measure()
    for metric in (embedding_std, rankme, uniformity):
        assert found[metric.__name__] == pytest.approx(metric(colors[~broken]), rel=1e-4)


def test_images_with_several_labels_get_a_mean_average_precision():
    bank, queries = Shades(40, 0), Shades(30, 1)
    found = monitor_of(MeanColor(), bank, queries).measure()
    assert "knn_top1" not in found

    def unit(source):
        colors = [tf.io.decode_png(image).numpy()[0, 0] - 100.0 for image in source._images]
        return colors / np.linalg.norm(colors, axis=1, keepdims=True)

    similarity = unit(queries) @ unit(bank).T
    votes = np.exp(similarity / 0.1)
    votes[similarity < np.sort(similarity)[:, [-9]]] = 0
    scores = votes @ bank._labels / votes.sum(axis=1, keepdims=True)
    expected = average_precision_score(queries._labels, scores, average="macro")
    assert found["knn_map"] == pytest.approx(expected, abs=1e-3)
    assert expected > 0.8


def test_images_of_one_class_get_no_figure_by_their_neighbours(capsys):
    bank, queries = Scenes("train", 40, 16), Scenes("test", 40, 16)
    assert "knn_top1" in monitor_of(MeanColor(), bank, queries).measure()
    assert "no kNN" not in capsys.readouterr().err
    bank.num_classes = queries.num_classes = 1
    assert "knn_top1" not in monitor_of(MeanColor(), bank, queries).measure()
    assert "no kNN, which needs labels of two classes" in capsys.readouterr().err


@pytest.mark.parametrize("hides", ["bank", "queries"])
def test_labels_that_are_not_public_make_no_figure(hides, capsys):
    several = {"bank": Shades(40, 0), "queries": Shades(30, 1)}
    several[hides]._labels = tf.zeros_like(several[hides]._labels)
    one = {"bank": Scenes("train", 40, 16), "queries": Scenes("test", 40, 16)}
    one[hides]._labels = tf.fill([one[hides].size], tf.constant(-1, tf.int64))
    for sources in (several, one):
        found = monitor_of(MeanColor(), **sources).measure()
        assert not [name for name in found if name.startswith("knn")] and "rankme" in found
        told = f"{sources[hides].name}: its labels are not public, so there is no kNN"
        assert capsys.readouterr().err.splitlines().count(told) == 1


def test_a_split_that_is_labelled_in_part_is_judged_by_that_part(capsys):
    """As STL-10's train+unlabelled: the figure is that of the labelled images alone."""
    bank, queries = Scenes("train", 40, 16), Scenes("test", 40, 16)
    hidden = np.arange(40) % 4 == 3
    known = bank.part(~hidden, "known")
    expected = monitor_of(MeanColor(), known, queries).measure()["knn_top1"]
    bank._labels = tf.where(hidden, tf.constant(-1, tf.int64), bank._labels)
    assert monitor_of(MeanColor(), bank, queries).measure()["knn_top1"] == expected
    assert f"30 of the 40 images of {bank.name} have a label" in capsys.readouterr().err


def test_a_bank_of_a_split_that_is_labelled_in_part_is_full():
    bank, queries = Scenes("train", 400, 16), Scenes("test", 40, 16)
    hidden = np.arange(400) % 10 > 0
    bank._labels = tf.where(hidden, tf.constant(-1, tf.int64), bank._labels)
    monitor = monitor_of(MeanColor(), bank, queries, "--monitor_bank=40")
    assert len(monitor._bank.read()[0]) == 40


def test_one_readable_image_is_told_in_one_line():
    queries = Shades(3, 1)
    queries._images = tf.where([True, False, True], b"no image", queries._images)
    queries.unreadable = UnreadableImages(8)
    with pytest.raises(UserError, match="compare two images or more, and one of 3 can be decoded"):
        monitor_of(MeanColor(), Shades(40, 0), queries).measure()


class TwoHeads(MeanColor):
    """The head of view 1 turns every embedding round."""

    def embed(self, images, view):
        color, _ = super().embed(images, view)
        return color, tf.where(view == 1, -color, color)


def test_each_view_is_embedded_as_that_view():
    """Both views are the whole image: unit vectors of one head agree, of opposite ones not."""
    one, two = (
        monitor_of(method, Shades(10, 0), Shades(8, 1)).measure()["alignment"]
        for method in (MeanColor(), TwoHeads())
    )
    assert one == pytest.approx(0, abs=1e-9) and two == pytest.approx(4, rel=1e-5)


def test_views_of_images_without_proposals_are_scene_crops():
    """Of full crops: the whole scene twice, or the box and the dilated box."""
    scenes = Scenes("train", 12, 32)
    whole, objects = (
        monitor_of(
            MeanColor(),
            scenes,
            scenes,
            as_scenes=as_scenes,
            crops="object_dilated",
            dilation=0.5,
            min_crop=1,
        ).measure()["alignment"]
        for as_scenes in (True, False)
    )
    assert whole == pytest.approx(0, abs=1e-9) and objects > 1e-3
