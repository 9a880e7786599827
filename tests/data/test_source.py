"""What holds for every kind of source: order, epochs, restart, subsets."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.data.labels import read_annotations
from ssl_tf.data.order import Share
from ssl_tf.data.scenes.shapes import Scenes
from ssl_tf.data.sources.folder import ImageFolder
from ssl_tf.errors import SettingsError
from tests.data.tiny_images import png, without_images, write_folder


def test_sequence_is_canonical(source):
    records = without_images(source.sequence())
    assert [record["index"] for record in records] == list(range(23))
    assert len({record["id"] for record in records}) == 23
    assert without_images(source.sequence()) == records


def test_a_part_of_the_sequence_is_that_part(source):
    whole = without_images(source.sequence())
    for start, stop in ((0, 5), (7, 8), (11, 23), (22, 23), (9, 9)):
        assert without_images(source.sequence(start, stop)) == whole[start:stop]
    rest = source.hold_out(7)[0]
    part = without_images(rest.sequence(3, 11))
    assert part == without_images(rest.sequence())[3:11]


def test_each_epoch_visits_each_example_once(source):
    records = without_images(source.stream(5, 0, 3 * 23))
    assert [record["counter"] for record in records] == list(range(3 * 23))
    assert [record["epoch"] for record in records] == [n // 23 for n in range(3 * 23)]
    orders = [[record["index"] for record in records[first : first + 23]] for first in (0, 23, 46)]
    for order in orders:
        assert sorted(order) == list(range(23))
    assert len(set(map(tuple, orders))) == 3
    assert orders[0] != list(range(23))


def test_index_is_the_identity_of_the_example(source):
    names = {record["index"]: record["id"] for record in without_images(source.sequence())}
    for record in without_images(source.stream(1, 0, 46)):
        assert names[record["index"]] == record["id"]


def test_a_stream_may_start_anywhere(source):
    whole = list(source.stream(5, 0, 70).as_numpy_iterator())
    for start in (1, 22, 23, 24, 60):
        assert list(source.stream(5, start, 70).as_numpy_iterator()) == whole[start:]


def test_the_seed_alone_decides(source):
    tf.random.set_seed(1)
    first = without_images(source.stream(5, 0, 46))
    tf.random.set_seed(2)
    assert without_images(source.stream(5, 0, 46)) == first
    stream = source.stream(5, 0, 46)
    assert without_images(stream) == without_images(stream) == first
    assert without_images(source.stream(6, 0, 46)) != first


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_share_every_batch_and_meet_each_example_once(source, workers):
    batch, stop = 8, 69  # three epochs of 23 do not fill the ninth batch
    whole = without_images(source.stream(5, 0, stop))
    first = stop // batch * batch
    parts = [
        without_images(source.stream(5, 16, first, Share(batch, worker, workers)))
        for worker in range(workers)
    ]
    size = batch // workers
    for number, start in enumerate(range(16, first, batch)):
        rows = [row for part in parts for row in part[number * size : (number + 1) * size]]
        assert rows == whole[start : start + batch]
    assert sum(map(len, parts)) == first - 16


@pytest.mark.parametrize("count", [1, 5, 22])
def test_the_older_rule_takes_evenly_spaced_examples(source, count):
    source.holdout_rule = "spaced"
    names = [record["id"] for record in without_images(source.sequence())]
    rest, held = source.hold_out(count)
    assert (rest.size, held.size, source.size) == (23 - count, count, 23)
    expected = [r for r in range(23) if (r * count) % 23 < count]
    assert len(expected) == count
    for part, rows in ((held, expected), (rest, [r for r in range(23) if r not in expected])):
        records = without_images(part.sequence())
        assert [record["id"] for record in records] == [names[r] for r in rows]
        assert [record["index"] for record in records] == list(range(part.size))
        epoch = without_images(part.stream(0, part.size, 2 * part.size))
        assert sorted(record["index"] for record in epoch) == list(range(part.size))
        assert {record["epoch"] for record in epoch} == {1}
    gaps = np.diff(expected)
    assert count == 1 or gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("count", [1, 5, 22])
def test_hold_out_draws_one_example_of_each_stretch(source, count):
    rest, held = source.hold_out(count)
    names = [record["id"] for record in without_images(source.sequence())]
    rows = [names.index(record["id"]) for record in without_images(held.sequence())]
    # Stretch k has the indices with k <= i * count / 23 < k + 1.
    assert [row * count // 23 for row in rows] == list(range(count))
    assert sorted(rows + [names.index(r["id"]) for r in without_images(rest.sequence())]) == list(
        range(23)
    )


class Periodic(Scenes):
    """200 scenes as examples whose label is index % 10."""

    def __init__(self):
        super().__init__("train", 200, 16)
        self.num_classes = 10

    def _annotation(self, row):
        return {"id": tf.strings.as_string(row), "label": row % 10}


def test_labels_of_the_period_of_the_stretches_are_held_out_of_every_kind():
    rest, held = Periodic().hold_out(20)
    counts = np.bincount(read_annotations(held)[1], minlength=10)
    # 20 draws of ten classes at random: more than seven of one are drawn once in 1000 times.
    assert counts.sum() == 20 and counts.max() <= 7 and (counts > 0).sum() >= 6
    assert np.bincount(read_annotations(rest)[1], minlength=10).min() >= 13
    # The same in every process and for every seed of a run.
    assert read_annotations(Periodic().hold_out(20)[1])[0].tolist() == (
        read_annotations(held)[0].tolist()
    )
    source = Periodic()
    source.holdout_rule = "spaced"
    assert read_annotations(source.hold_out(20)[1])[1].tolist() == [0] * 20


def test_the_draw_is_the_same_for_ever():
    # Else runs of this version would resume on other images.
    held = Periodic().hold_out(20)[1]
    assert [int(image_id) for image_id in read_annotations(held)[0]] == (
        [7, 13, 20, 34, 40, 51, 67, 75, 87, 99, 101, 111, 128, 136, 148, 155, 166, 175, 184, 199]
    )


def test_parts_can_be_parted_again(source):
    rest, held = source.hold_out(8)
    again, last = held.hold_out(3)
    ids = [
        record["id"] for part in (rest, again, last) for record in without_images(part.sequence())
    ]
    assert len(ids) == len(set(ids)) == 23
    assert held.size == 8 and (again.size, last.size) == (5, 3)


@pytest.mark.parametrize("count", [0, 23, -1])
def test_hold_out_refuses_to_take_nothing_or_all(source, count):
    with pytest.raises(SettingsError, match="between 1 and 22"):
        source.hold_out(count)


def test_another_process_sees_the_same_order(tmp_path):
    folder = write_folder(tmp_path, {f"{i}.png": png(i) for i in range(9)})
    program = (
        "import sys; from ssl_tf.data.sources.folder import ImageFolder\n"
        "for record in ImageFolder(sys.argv[1]).stream(3, 5, 25).as_numpy_iterator():\n"
        "    print(record['id'].decode())"
    )
    output = subprocess.run(
        [sys.executable, "-c", program, folder], check=True, capture_output=True, text=True
    ).stdout.split()
    assert output == [
        record["id"].decode() for record in without_images(ImageFolder(folder).stream(3, 5, 25))
    ]


def test_a_source_is_repeated(tmp_path):
    files = {f"{n}.png": b"" for n in range(4)}
    ten = ImageFolder(write_folder(tmp_path, files)).repeated(10)
    assert ten.size == 10
    records = without_images(ten.sequence())
    assert [record["index"] for record in records] == list(range(10))
    assert [record["id"] for record in records] == [b"%d.png" % (n % 4) for n in range(10)]
