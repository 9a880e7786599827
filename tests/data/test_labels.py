"""Labels without images, and shares of them: nested, balanced, reproducible."""

import numpy as np
import pytest

from ssl_tf.data.labels import (
    check_first_labels,
    draw_share,
    labels_are_hidden,
    read_annotations,
    read_list,
    readable_labels,
    write_list,
)
from ssl_tf.data.sources.folder import ImageFolder
from ssl_tf.data.sources.memory import InMemory, in_memory
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import SettingsError, UserError
from tests.data.annotations.annotated_files import coco_example, coco_features, prepare_tfds
from tests.data.opened import source_of
from tests.data.prepared_tfds import prepare
from tests.data.tiny_images import without_images, write_folder


class Classes:
    name = "classes"

    def __init__(self, num_classes, class_names=()):
        self.num_classes = num_classes
        self.class_names = class_names


SIZES = (5000, 640, 149, 50, 3)
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(5), SIZES))


def test_shares_are_nested_balanced_and_reproducible():
    before = np.zeros(len(LABELS), bool)
    for fraction in (0.001, 0.01, 0.013, 0.1, 0.5, 1.0):
        share = draw_share(LABELS, Classes(5), fraction, 3)
        expected = [max(1, round(fraction * size)) for size in SIZES]
        np.testing.assert_array_equal(np.bincount(LABELS[share]), expected)
        assert not np.any(before & ~share)
        np.testing.assert_array_equal(share, draw_share(LABELS, Classes(5), fraction, 3))
        before = share
    assert before.all()
    one, other = (draw_share(LABELS, Classes(5), 0.1, seed) for seed in (3, 4))
    # Two independent tenths have a tenth of a tenth in common: 58 of 584, give or take 7.
    assert 25 < np.sum(one & other) < 95


def test_each_image_of_a_class_is_as_likely_as_the_others():
    labels = np.repeat([0, 1], 10)
    drawn = sum(draw_share(labels, Classes(2), 0.3, seed).astype(int) for seed in range(400))
    # 400 draws of 3 of 10: 120 each with a standard deviation of 9.2.
    assert np.abs(drawn - 120).max() < 37


def test_an_empty_class_is_one_line_that_names_it():
    with pytest.raises(UserError, match="class eel is empty"):
        draw_share(np.array([0, 1, 0]), Classes(3, ("cat", "dog", "eel")), 0.5, 0)
    with pytest.raises(UserError, match="class 1 is empty"):
        draw_share(np.array([0, 2, 0]), Classes(3), 0.5, 0)


def test_of_several_labels_a_share_is_drawn_without_regard_to_them():
    labels = np.float32(np.eye(5)[LABELS])
    small, large = (draw_share(labels, Classes(5), fraction, 0) for fraction in (0.01, 0.1))
    assert (small.sum(), large.sum()) == (58, 584) and not np.any(small & ~large)


def test_annotations_are_those_of_the_records_in_their_order(source):
    for part in (source, *source.hold_out(6)):
        ids, labels = read_annotations(part)
        records = list(part.sequence().as_numpy_iterator())
        assert list(ids) == [record["id"] for record in records]
        assert list(labels) == [record["label"] for record in records]


def test_no_image_is_opened_for_its_label(tmp_path):
    folder = ImageFolder(write_folder(tmp_path, {f"c{i % 2}/{i}.png": b"none" for i in range(6)}))
    for path in tmp_path.glob("*/*.png"):
        path.unlink()
    ids, labels = read_annotations(folder)
    assert list(ids) == [
        b"c0/0.png",
        b"c0/2.png",
        b"c0/4.png",
        b"c1/1.png",
        b"c1/3.png",
        b"c1/5.png",
    ]
    assert list(labels) == [0, 0, 0, 1, 1, 1]


def test_a_label_outside_of_the_classes_is_one_line_that_names_the_image(source):
    source.num_classes = 2
    with pytest.raises(UserError, match=r"image \d+ has the label 2, but there are 2 classes"):
        read_annotations(source)


def test_a_list_names_its_images_again(source, tmp_path):
    ids, labels = read_annotations(source)
    keep = draw_share(labels, source, 0.4, 0)
    path = tmp_path / "new" / "labels.txt"
    write_list(path, ids[keep], ["9 of 23", "seed 0"])
    assert path.read_text().startswith("# 9 of 23\n# seed 0\n")
    assert [name.name for name in path.parent.iterdir()] == ["labels.txt"]
    np.testing.assert_array_equal(read_list(path, ids, source), keep)
    write_list(path, ids[keep], ["9 of 23 in another folder", "seed 0"])
    assert path.read_text().startswith("# 9 of 23 in another folder\n# seed 0\n")
    with pytest.raises(SettingsError, match="names other images"):
        write_list(path, ids[~keep], ["9 of 23", "seed 0"])


def test_any_id_can_be_read_back(tmp_path):
    ids = [
        b"#1.png",
        b" a ",
        b"two\nlines",
        b"\r",
        b"b'x'",
        b"# 2 of 9",
        b"\xff\xfe",
        b"\ttab",
        b"a",
    ]
    ids = np.array([*ids, b"other"], object)
    keep = np.arange(len(ids)) < len(ids) - 1
    write_list(tmp_path / "labels.txt", ids[keep], ["9 of 10"])
    listed = read_list(tmp_path / "labels.txt", ids, Classes(1))
    np.testing.assert_array_equal(listed, keep)


@pytest.mark.parametrize(
    "text, told",
    [
        (None, "No such file"),
        ("# nothing\n\n", "names no image"),
        ("n01_1.JPEG\r\nn02_2.JPEG\r\n", "2 of its 2 images are not in .*, such as 'n01_1.JPEG'"),
    ],
)
def test_a_list_of_other_images_is_one_line(text, told, source, tmp_path):
    path = tmp_path / "list.txt"
    if text is not None:
        path.write_text(text)
    ids, _ = read_annotations(source)
    with pytest.raises(UserError, match=f"--labels_from=.*{told}"):
        read_list(path, ids, source)


def test_a_list_that_was_drawn_of_another_source_is_told(source, tmp_path, capsys):
    """Their ids may be alike, as `0001.png` of two folders or `train_00001` of two CIFARs."""
    ids, _ = read_annotations(source)
    for name, is_told in ((source.name, False), ("cifar100:train", True)):
        write_list(tmp_path / name, ids[:2], [f"2 of the 40 images of {name}: 5 % of each class"])
        assert read_list(tmp_path / name, ids, source).sum() == 2
        told = f"{tmp_path / name} was drawn of {name}, and its ids are taken for those of "
        assert (told in capsys.readouterr().err) == is_told


def test_labels_of_images_that_could_not_be_read_do_not_count(source, monkeypatch):
    monkeypatch.setattr(source, "unreadable", UnreadableImages())
    ids, labels = read_annotations(source)
    np.testing.assert_array_equal(readable_labels(source, ids, labels), labels)
    source.unreadable.add(ids[3])
    np.testing.assert_array_equal(readable_labels(source, ids, labels), np.delete(labels, 3))


def test_a_list_whose_ids_several_images_share_is_refused(tmp_path):
    ids = np.array([b"a.png", b"b.png", b"a.png", b"a.png", b"c.png"], object)
    path = tmp_path / "list.txt"
    path.write_text("a.png\nc.png\n")
    with pytest.raises(UserError) as raised:
        read_list(path, ids, Classes(1))
    assert str(raised.value) == (
        f"--labels_from={path}: its 2 ids are those of 4 images of classes, such as 'a.png' of 3; "
        "give each image an id of its own, in record files under image/id"
    )
    # Of those that are not listed, it does not matter.
    path.write_text("b.png\nc.png\nc.png\n")
    listed = read_list(path, ids, Classes(1))
    assert listed.tolist() == [False, True, False, False, True]


def test_a_small_part_of_record_files_is_held_in_memory(source):
    keep = np.arange(source.size) % 6 == 1
    part = source.part(keep, "a part")
    kept = in_memory(part)
    assert isinstance(kept, InMemory) == (not isinstance(source, ImageFolder))
    assert kept.name == "a part" and kept.size == 4
    assert without_images(kept.sequence()) == without_images(part.sequence())
    images = [
        [record["image"] for record in each.sequence().as_numpy_iterator()] for each in (kept, part)
    ]
    assert images[0] == images[1]
    # Each epoch of a shuffled run shows each example once.
    indices = [record["index"] for record in without_images(kept.stream(0, 0, 12))]
    assert [sorted(indices[i : i + 4]) for i in (0, 4, 8)] == [[0, 1, 2, 3]] * 3
    assert in_memory(source) is source or source.shuffle_buffer == source.size


def test_several_labels_are_hidden_where_no_image_has_any(tmp_path):
    hidden, late = ([set()] * 4, [set(), set(), {1}, set()])
    for name, labels in (("hidden", hidden), ("late", late)):
        objects = [[(label, (0.0, 0.0, 1.0, 1.0), 1, False) for label in of] for of in labels]
        examples = [coco_example(n, of) for n, of in enumerate(objects)]
        prepare_tfds(tmp_path, name, coco_features(), {"test": examples})
    without, with_one = (
        source_of(dataset=name, data_dir=str(tmp_path), split="test") for name in ("hidden", "late")
    )
    assert labels_are_hidden(without) and not labels_are_hidden(with_one)
    with pytest.raises(UserError, match="hidden:test: no image shows any class; give a split"):
        check_first_labels(without)
    check_first_labels(with_one)


def test_a_damaged_record_is_named_wherever_labels_are_read(tmp_path):
    directory = prepare(tmp_path)
    (shard,) = directory.glob("*-test.tfrecord*")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(bytes(content))
    damaged = source_of(dataset="animals", data_dir=str(tmp_path), split="test")
    for read in (read_annotations, InMemory, check_first_labels):
        with pytest.raises(UserError, match="-test.tfrecord.*is damaged") as told:
            read(damaged)
        assert "\n" not in str(told.value)
