import numpy as np
import pytest

from ssl_tf.segmentation.confusion import Confusion, count_pixels


def slow(pairs, classes):
    """mIoU, pixel accuracy and mean accuracy by loops over all pixels of all images."""
    hits, true, predicted = [0] * classes, [0] * classes, [0] * classes
    for truth, guess in pairs:
        for y in range(truth.shape[0]):
            for x in range(truth.shape[1]):
                if truth[y, x] == 255:
                    continue
                true[truth[y, x]] += 1
                predicted[guess[y, x]] += 1
                hits[truth[y, x]] += truth[y, x] == guess[y, x]
    ious, accuracies = [], []
    for k in range(classes):
        if true[k] + predicted[k]:
            ious.append(hits[k] / (true[k] + predicted[k] - hits[k]))
        if true[k]:
            accuracies.append(hits[k] / true[k])
    return sum(ious) / len(ious), sum(hits) / sum(true), sum(accuracies) / len(accuracies)


def test_figures_equal_a_slow_loop_over_images_of_several_sizes():
    random = np.random.default_rng(0)
    classes = 6
    pairs = []
    for height, width in ((5, 7), (8, 3), (1, 1)):
        # Class 4 is never true and class 5 is neither true nor predicted.
        truth = random.integers(0, 4, (height, width))
        truth[random.random((height, width)) < 0.3] = 255
        guess = np.where(random.random((height, width)) < 0.5, truth % 255, 0)
        guess[0, 0] = 4
        truth[0, 0] = 1
        pairs.append((truth, guess))
    confusion = Confusion(sum(count_pixels(*pair, classes) for pair in pairs))
    figures = confusion.figures()
    assert list(figures.values()) == pytest.approx(slow(pairs, classes), abs=1e-12)
    assert confusion.class_ious()[4] == 0 and confusion.class_ious()[5] is None
    assert confusion.counts.sum() == sum((truth != 255).sum() for truth, _ in pairs)


def test_one_matrix_of_all_images_is_no_mean_over_images():
    first = np.array([[0, 0, 0, 0]]), np.array([[0, 0, 0, 0]])
    second = np.array([[1, 1]]), np.array([[0, 0]])
    confusion = Confusion(count_pixels(*first, 2) + count_pixels(*second, 2))
    assert confusion.class_ious() == [4 / 6, 0]
    assert confusion.figures() == {
        "miou": pytest.approx(1 / 3),
        "pixel_accuracy": pytest.approx(4 / 6),
        "mean_accuracy": pytest.approx(0.5),
    }


def test_a_set_without_a_labelled_pixel_has_no_figure_to_divide_by():
    confusion = Confusion(count_pixels(np.full((2, 2), 255), np.zeros((2, 2), int), 3))
    assert set(confusion.figures().values()) == {0.0}
    assert confusion.class_ious() == [None] * 3
