"""What is no box is told before anything is cropped or measured by it."""

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.data.boxes import check_boxes
from ssl_tf.data.proposals.format import ImageProposals, write_proposals
from ssl_tf.data.proposals.store import ProposalStore
from ssl_tf.data.sources.opening import has_training_boxes, open_split, open_training_source
from ssl_tf.errors import UserError
from ssl_tf.settings import DataSettings
from tests.data.tiny_images import example, png, write_records

SIDES = ("ymin", "xmin", "ymax", "xmax")


def pieces(*boxes):
    of_images = [np.reshape(np.float32(piece), [-1, 4]) for piece in boxes]
    signature = tf.TensorSpec([None, 4], tf.float32)
    return tf.data.Dataset.from_generator(lambda: iter(of_images), output_signature=signature)


@pytest.mark.parametrize(
    "box, told",
    [
        ([6, 6, 10, 10], "6, 6, 10, 10"),  # pixels
        ([0, 0, 1.2, 1], "0, 0, 1.2, 1"),
        ([-0.1, 0, 0.5, 1], "-0.1, 0, 0.5, 1"),
        ([0.5, 0, 0.5, 1], "0.5, 0, 0.5, 1"),
        ([0.5, 0.75, 0.75, 0.5], "0.5, 0.75, 0.75, 0.5"),
        ([0.5, 0, np.nan, 1], "0.5, 0, nan, 1"),
    ],
)
def test_what_is_no_box_is_counted_and_shown(box, told):
    boxes = pieces([[0, 0, 1, 1]], [], [[0.25, 0, 0.5, 1], box])
    with pytest.raises(UserError, match=f"^data: 1 of 3 boxes lie outside .* as {told}; correct"):
        check_boxes(boxes, "data")


def test_pieces_without_a_box_are_counted_and_rounding_is_no_error():
    assert check_boxes(pieces([], [[0, -5e-7, 1.0000005, 1]], []), "data") == 2
    assert check_boxes(pieces(), "data") == 0


@pytest.fixture(scope="module")
def in_pixels(tmp_path_factory):
    corners = dict(zip(SIDES, (1.0, 2.0, 4.0, 6.0)))
    fields = {f"image__object__bbox__{side}": value for side, value in corners.items()}
    records = [example(image__encoded=png(i), **fields) for i in range(3)]
    return write_records(tmp_path_factory.mktemp("pixels") / "a", records)


def test_ground_truth_in_pixels_is_refused_wherever_it_is_opened(in_pixels):
    data = DataSettings(tfrecord=in_pixels, proposals="ground_truth")
    with pytest.raises(UserError, match="3 of 3 boxes lie outside .* such as 1, 2, 4, 6"):
        open_training_source(data, boxes=True)
    with pytest.raises(UserError, match="3 of 3 boxes"):
        has_training_boxes(open_split(data), data)


def test_a_store_that_was_written_by_others_is_looked_at_too(tmp_path, monkeypatch):
    images = [ImageProposals(f"scenes/train/{n}", [[0, 0, 0.5, 0.5]]) for n in range(4)]
    write_proposals(tmp_path / "store", images, generator="x", settings={})
    read = ProposalStore.read

    def in_pixels(store):
        ids, splits, boxes = read(store)
        return ids, splits, 48 * boxes

    monkeypatch.setattr(ProposalStore, "read", in_pixels)
    data = DataSettings(
        dataset="scenes", scenes=4, scene_size=16, proposals=str(tmp_path / "store")
    )
    with pytest.raises(UserError, match="store: 4 of 4 boxes .* such as 0, 0, 24, 24"):
        open_training_source(data, boxes=True)


def test_another_split_has_boxes_of_its_own_and_never_those_of_a_store(capsys):
    scenes = dict(dataset="scenes", scenes=8, scene_size=16)
    own = DataSettings(**scenes, proposals="ground_truth")
    held_out = open_split(own, "test")
    assert has_training_boxes(held_out, own)
    assert "scenes:test: 0 of 2 images have no box" in capsys.readouterr().err
    assert not has_training_boxes(held_out, DataSettings(**scenes, proposals="STORE"))
