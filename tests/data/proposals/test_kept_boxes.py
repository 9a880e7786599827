"""A run goes on with the boxes that it began with, whatever their order in the store."""

import pytest

from ssl_tf.data.proposals.format import ImageProposals, write_proposals
from ssl_tf.data.proposals.join import WithProposals
from ssl_tf.data.proposals.store import ProposalStore
from ssl_tf.errors import UserError
from ssl_tf.training.data_record import keep_data
from tests.data.opened import source_of

BOXES = {f"scenes/train/{n}": [[0, 0, 0.5, 0.1 * (n + 1)]] * n for n in range(5)}


def test_a_run_goes_on_with_the_boxes_of_its_first_start(tmp_path):
    source = source_of(dataset="scenes", scenes=5, scene_size=16)
    (tmp_path / "run").mkdir()

    def go_on(name, boxes):
        images = (ImageProposals(identity, of_image) for identity, of_image in boxes.items())
        write_proposals(tmp_path / name, images, generator="x", settings={})
        joined = WithProposals(source, ProposalStore(tmp_path / name))
        keep_data(tmp_path / "run", {"training": joined})

    go_on("first", BOXES)
    # The same boxes in another order, beside those of images that are not here.
    go_on("again", {"stranger": [[0, 0, 1, 1]], **dict(reversed(BOXES.items()))})
    other = {**BOXES, "scenes/train/3": [[0, 0, 0.5, 0.41]] * 3}
    with pytest.raises(UserError, match="training images are not those of the first start"):
        go_on("other", other)
