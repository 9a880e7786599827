"""The draw of anchors and regions: shares, counts, seeds, and that it is even."""

import numpy as np
import tensorflow as tf

from ssl_tf.detection.sampling import balanced_sample


def kinds(*counts, size=40):
    """Positives first, then negatives, then neither."""
    places = np.arange(size)
    positive = np.stack([places < p for p, _ in counts])
    negative = np.stack([(places >= p) & (places < p + n) for p, n in counts])
    return tf.constant(positive), tf.constant(negative)


def seeds(*numbers):
    return tf.constant([[7, n] for n in numbers], tf.int64)


def test_positives_fill_their_share_and_negatives_the_rest():
    counts = [(20, 20), (3, 30), (0, 40), (2, 4), (0, 0)]
    positive, negative = kinds(*counts)
    indices, drawn = balanced_sample(positive, negative, seeds(*range(5)), 16, 0.25)
    assert indices.shape == drawn.shape == (5, 16)
    for image, (p, n) in enumerate(counts):
        kept = indices[image].numpy()[drawn[image].numpy()]
        expected_positives = min(p, 4)
        assert len(kept) == len(set(kept)) == min(16, expected_positives + n)
        assert (kept[:expected_positives] < p).all()
        assert ((kept[expected_positives:] >= p) & (kept[expected_positives:] < p + n)).all()


def test_the_draw_is_a_function_of_the_seed_of_its_image():
    positive, negative = kinds((9, 30), (9, 30), (9, 30))
    one = balanced_sample(positive, negative, seeds(1, 2, 1), 12, 0.25)[0].numpy()
    assert (one[0] == one[2]).all() and (one[0] != one[1]).any()
    alone = balanced_sample(positive[1:2], negative[1:2], seeds(2), 12, 0.25)[0].numpy()
    np.testing.assert_array_equal(alone[0], one[1])


def test_every_candidate_is_drawn_as_often():
    images = 400
    positive, negative = kinds(*[(8, 24)] * images)
    indices, drawn = balanced_sample(positive, negative, seeds(*range(images)), 8, 0.25)
    assert drawn.numpy().all()
    counts = np.bincount(indices.numpy().ravel(), minlength=40)
    for part, share in ((counts[:8], 2 / 8), (counts[8:32], 6 / 24)):
        spread = np.sqrt(images * share * (1 - share))
        assert (np.abs(part - images * share) < 4.5 * spread).all()
    assert not counts[32:].any()


def test_fewer_candidates_than_asked_for():
    positive, negative = kinds((1, 3), size=5)
    indices, drawn = balanced_sample(positive, negative, seeds(0), 16, 0.5)
    assert indices.shape == (1, 5) and drawn.numpy().sum() == 4


def test_of_few_candidates_one_positive_is_drawn():
    positive, negative = kinds((1, 1), (0, 2), size=2)
    indices, drawn = balanced_sample(positive, negative, seeds(1, 2), 16, 0.25)
    assert sorted(indices[0].numpy()) == sorted(indices[1].numpy()) == [0, 1]
    assert indices[0, 0] == 0 and drawn.numpy().all()
