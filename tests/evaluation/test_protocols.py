import dataclasses

import numpy as np
import pytest

from ssl_tf.data.batches import evaluation_batches
from ssl_tf.errors import NotPrepared, UserError
from ssl_tf.evaluation.protocols import PROTOCOLS
from ssl_tf.settings import SUITES, ReadingSettings, flagfiles
from tests.data.prepared_tfds import prepare_several
from tests.evaluation import prepared_suite as suite

# BYOL, Table 10; the last two have no published protocol.
PUBLISHED = {
    "food101": (68_175, 7_575, 25_250, 101, "top1"),
    "cifar10": (45_000, 5_000, 10_000, 10, "top1"),
    "cifar100": (44_933, 5_067, 10_000, 100, "top1"),
    "sun397": (15_880, 3_970, 19_850, 397, "top1"),
    "cars196": (6_494, 1_650, 8_041, 196, "top1"),
    "dtd": (1_880, 1_880, 1_880, 47, "top1"),
    "oxford_iiit_pet": (2_940, 740, 3_669, 37, "mean_per_class"),
    "mnist": (55_000, 5_000, 10_000, 10, "top1"),
    "fashion_mnist": (55_000, 5_000, 10_000, 10, "top1"),
}
# Train images that the archives hold, as TFDS counts them.
TRAIN = {
    "food101": 75_750, "cifar10": 50_000, "cifar100": 50_000, "sun397": 19_850, "cars196": 8_144,
    "dtd": 1_880, "oxford_iiit_pet": 3_680, "mnist": 60_000, "fashion_mnist": 60_000,
}  # fmt: skip


class Labels:
    """A stand-in for a source: only what the draw asks for."""

    def __init__(self, num_classes):
        self.name, self.num_classes = "pictures", num_classes


def test_every_protocol_is_pinned_and_every_suite_is_of_protocols():
    assert set(PROTOCOLS) == set(PUBLISHED) == {n for names in SUITES.values() for n in names}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts_and_metric(name):
    import tensorflow_datasets as tfds

    *sizes, classes, metric = PUBLISHED[name]
    protocol = PROTOCOLS[name]
    assert protocol.sizes == tuple(sizes) and protocol.metric == metric
    builder, _, config = protocol.dataset.partition("/")
    configs = [known.name for known in tfds.builder_cls(builder).BUILDER_CONFIGS]
    assert config in configs if config else not configs
    if protocol.validation:
        assert TRAIN[name] == sizes[0]
        return
    # As many as the archive has, in classes as equal as it has them, and of these the published.
    labels = np.arange(TRAIN[name]) % classes
    held = protocol.draw_held_out(labels, Labels(classes))
    assert (np.sum(~held), np.sum(held)) == tuple(sizes[:2])
    np.testing.assert_array_equal(held, protocol.draw_held_out(labels, Labels(classes)))
    of_class = np.bincount(labels[held], minlength=classes)
    if protocol.held_out_per_class:
        assert set(of_class) == {{"sun397": 10, "oxford_iiit_pet": 20}[name]}
    else:
        assert of_class.min() > 0 and of_class.std() > 0
    # Not the first or the last images, nor evenly spaced ones.
    assert 0.4 < np.flatnonzero(held).mean() / TRAIN[name] < 0.6
    assert np.diff(np.flatnonzero(held)).std() > 0


def test_too_few_images_to_hold_out_are_one_line():
    labels = np.repeat([0, 1], [30, 20])
    with pytest.raises(UserError, match="pictures has 20 images of class 1, .* holds out 20"):
        PROTOCOLS["oxford_iiit_pet"].draw_held_out(labels, Labels(2))
    with pytest.raises(UserError, match="pictures has 50 images, .* holds out 7575"):
        PROTOCOLS["food101"].draw_held_out(labels, Labels(2))


def opened(name, root):
    reading = flagfiles.parse([f"--data_dir={root}"], ReadingSettings)
    protocol = PROTOCOLS[name]
    return protocol.images(protocol.open(reading))


def test_a_data_set_prepared_with_other_names_is_refused(tmp_path, monkeypatch):
    prepare_several(tmp_path)
    reading = flagfiles.parse([f"--data_dir={tmp_path}"], ReadingSettings)
    for name, told in (("toys", "label"), ("pairs", "image")):
        protocol = dataclasses.replace(PROTOCOLS["cifar10"], dataset=name)
        with pytest.raises(UserError, match=f"none is called {told}; prepare it again"):
            protocol.open(reading)


def of(source):
    """[(id, label)] of all images."""
    return [(r["id"], int(r["label"])) for r in source.sequence().as_numpy_iterator()]


def test_held_out_images_neither_train_nor_get_lost(tmp_path):
    counts = {"train": [23, 25, 29], "test": [2, 3, 4]}
    suite.prepare(tmp_path, "oxford_iiit_pet", counts)
    images = opened("oxford_iiit_pet", tmp_path)
    train, validation, whole = of(images.train), of(images.validation), of(images.whole)
    assert set(train) | set(validation) == set(whole) and len(set(whole)) == 77
    assert not set(train) & set(validation)
    # The breeds and not the species, of which there are two.
    np.testing.assert_array_equal(np.bincount([label for _, label in validation]), [20] * 3)
    np.testing.assert_array_equal(np.bincount([label for _, label in train]), [3, 5, 9])
    assert [len(of(images.test)), images.test.num_classes] == [9, 3]


def test_splits_of_their_own_are_used(tmp_path, monkeypatch):
    parts = {"train": [2, 2, 2], "validation": [1, 3, 1], "test": [4, 1, 3]}
    suite.prepare(tmp_path, "dtd", parts)
    images = opened("dtd", tmp_path)
    sizes = [len(of(part)) for part in (images.train, images.validation, images.whole, images.test)]
    assert sizes == [6, 5, 11, 8]
    assert set(of(images.whole)) == set(of(images.train)) | set(of(images.validation))
    # Food-101's test set is called validation.
    suite.prepare(tmp_path, "food101", {"train": [4, 4, 4], "validation": [1, 1, 1]})
    suite.shrink(monkeypatch, "food101", (9, 3, 3), held_out=3)
    images = opened("food101", tmp_path)
    assert [images.train.size, images.validation.size, images.test.size] == [9, 3, 3]
    assert images.test.name == "food101:validation"


def test_grey_images_become_three_equal_channels(tmp_path, monkeypatch):
    suite.prepare(tmp_path, "mnist", {"train": [4, 4, 4], "test": [1, 1, 1]})
    suite.shrink(monkeypatch, "mnist", (10, 2, 3), held_out=2)
    test = opened("mnist", tmp_path).test
    batches = evaluation_batches(test, suite.SIDE, 3, whole=True)
    (batch,) = batches.as_numpy_iterator()
    assert batch["image"].shape == (3, 16, 16, 3)
    for image, label, number in zip(batch["image"], batch["label"], (13, 14, 15)):
        expected = np.broadcast_to(suite.image(label, number, 1), (16, 16, 3))
        np.testing.assert_array_equal(image, expected)


def test_another_configuration_does_not_stand_in(tmp_path):
    suite.prepare(tmp_path, "sun397", {"train": [11, 12, 13], "test": [1, 1, 1]})
    images = opened("sun397", tmp_path)
    assert [images.train.size, images.validation.size] == [6, 30]
    (tmp_path / "sun397" / "standard-part1-120k").rename(tmp_path / "sun397" / "tfds")
    with pytest.raises(NotPrepared, match="builder..sun397/standard-part1-120k., "):
        opened("sun397", tmp_path)
