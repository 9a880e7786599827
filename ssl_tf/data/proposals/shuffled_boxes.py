"""Boxes at the wrong images: as many and as large as the right ones, but not of objects."""

from collections.abc import Iterator

import numpy as np

from ssl_tf.data.proposals.format import ImageProposals
from ssl_tf.data.source import Source
from ssl_tf.errors import UserError


def shuffled(source: Source, seed: int) -> Iterator[ImageProposals]:
    """The images of a source, each with all boxes of another one.

    The images are put into a random circle, and each takes the boxes of the next: every image gives
    its boxes once, and none keeps its own.

    Args:
        source: with boxes.
        seed: of the draw.

    Raises:
        UserError: there is one image alone.
    """
    if source.size < 2:
        raise UserError(f"{source.name}: one image has no other to take boxes from; give two")
    ids, boxes = [], []
    for example in source.read(source.sequence()):
        ids.append(example["id"].decode("utf-8", "surrogateescape"))
        boxes.append(example["boxes"])
    circle = np.random.default_rng(seed).permutation(len(ids))
    giver = np.empty(len(ids), np.int64)
    giver[circle] = np.roll(circle, -1)
    for image_id, other in zip(ids, giver):
        yield ImageProposals(image_id, boxes[other])
