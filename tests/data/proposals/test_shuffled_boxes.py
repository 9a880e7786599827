"""Boxes at the wrong images: each image's once, and no image keeps its own."""

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf import proposals
from ssl_tf.data.proposals.format import ImageProposals, write_proposals
from ssl_tf.data.proposals.join import WithProposals
from ssl_tf.data.proposals.shuffled_boxes import shuffled
from ssl_tf.data.proposals.store import ProposalStore
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.settings import ShuffleSettings, flagfiles
from tests.data.opened import source_of
from tests.data.tiny_images import example, png, write_records


def boxes_of(images):
    return [tuple(map(tuple, image.boxes.tolist())) for image in images]


def test_every_image_gets_the_boxes_of_another():
    source = source_of(dataset="scenes", scenes=40, scene_size=16)
    own = [tuple(map(tuple, x["boxes"].tolist())) for x in source.sequence().as_numpy_iterator()]
    for seed in range(3):
        images = list(shuffled(source, seed))
        assert [image.image_id for image in images] == [f"scenes/train/{n}" for n in range(40)]
        assert sorted(boxes_of(images)) == sorted(own)
        assert all(given != kept for given, kept in zip(boxes_of(images), own))
    assert boxes_of(shuffled(source, 1)) == boxes_of(shuffled(source, 1))
    assert boxes_of(shuffled(source, 1)) != boxes_of(shuffled(source, 2))


def test_one_image_has_no_other():
    with pytest.raises(UserError, match="one image has no other to take boxes from"):
        next(shuffled(source_of(dataset="scenes", scenes=1, scene_size=16), 0))


def test_the_command_writes_a_store(tmp_path, capsys):
    given = ["--dataset=scenes", "--scenes=9", "--scene_size=16"]

    def start(*more):
        proposals.shuffle(flagfiles.parse([*given, *more], ShuffleSettings))

    start("--proposals=ground_truth", f"--output={tmp_path / 'once'}")
    assert "9 images" in capsys.readouterr().out
    once = list(ProposalStore(tmp_path / "once").images())
    # Of a store, too; its boxes move on.
    start(f"--proposals={tmp_path / 'once'}", f"--output={tmp_path / 'twice'}", "--seed=1")
    twice = list(ProposalStore(tmp_path / "twice").images())
    assert sorted(boxes_of(once)) == sorted(boxes_of(twice)) and boxes_of(once) != boxes_of(twice)
    np.testing.assert_array_equal([i.image_id for i in once], [i.image_id for i in twice])
    with pytest.raises(SettingsError, match="--proposals: give the boxes to shuffle"):
        start(f"--output={tmp_path / 'no'}")


def test_the_command_keeps_every_box(tmp_path):
    many = np.linspace(0, 0.7, 20)[:, None] + [0, 0, 0.2, 0.3]
    images = [ImageProposals(f"scenes/train/{n}", many[: 20 - n]) for n in range(4)]
    write_proposals(tmp_path / "many", images, generator="x", settings={}, max_boxes=None)
    flags = [
        "--dataset=scenes", "--scenes=4", "--scene_size=16", f"--proposals={tmp_path / 'many'}",
        f"--output={tmp_path / 'out'}",
    ]  # fmt: skip
    proposals.shuffle(flagfiles.parse(flags, ShuffleSettings))
    given = boxes_of(ProposalStore(tmp_path / "out").images())
    assert sorted(map(len, given)) == [17, 18, 19, 20]
    assert sorted(given) == sorted(boxes_of(ProposalStore(tmp_path / "many").images()))


def test_names_that_are_no_utf_8_are_found_again(tmp_path):
    ids = [b"caf\xe9.png", b"a.png", "\u00e9.png".encode()]
    records = [example(image=png(n), id=image_id) for n, image_id in enumerate(ids)]
    write_records(tmp_path / "a.tfrecord", records)
    source = source_of(tfrecord=str(tmp_path / "a.tfrecord"))

    class Boxed:
        size, name = source.size, source.name

        def sequence(self):
            box = tf.constant([[0.0, 0.0, 0.5, 0.5]])
            return source.sequence().map(lambda record: {**record, "boxes": box})

        read = source.read

    write_proposals(tmp_path / "s", shuffled(Boxed(), 0), generator="test", settings={})
    store = ProposalStore(str(tmp_path / "s"))
    matches = WithProposals(source, store).match()
    assert (matches.without_proposal, matches.unmatched) == (0, 0)
