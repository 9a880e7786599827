"""The picture of some images with predicted and true label maps, in the colours of the labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssl_tf.data.annotations.annotated_source import IGNORED
from ssl_tf.errors import listed
from ssl_tf.views.sheet import draw_sheet

_NAMES_SHOWN = 4


def label_colours() -> np.ndarray:
    """The colour of each label, uint8 [256, 3], as VOC has them: the bits of a label, spread.

    Label 0 is black. The ignored label is grey-white.
    """
    labels = np.arange(256)[:, np.newaxis]
    colours = np.zeros((256, 3), int)
    for place in range(8):
        # Each round takes three bits, the lowest for red; earlier rounds have the higher bits.
        bits = (labels >> (3 * place + np.arange(3))) & 1
        colours |= bits << (7 - place)
    return colours.astype(np.uint8)


def draw_label_maps(
    rows: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    class_names: Sequence[str],
    path: Path,
) -> np.ndarray | None:
    """Writes a PNG of images beside their predicted and true label maps.

    Args:
        rows: (uint8 [H, W, 3] image, predicted labels [H, W], true labels [H, W]).
        class_names: names of the labels; empty: numbers.
        path: the PNG.

    Returns:
        The picture, uint8 [H, W, 3]; None, and no file, if there are no rows.
    """
    colours = label_colours()
    cells = []
    for image, predicted, truth in rows:
        strip = [(image, ["image"])]
        for title, labels in (("predicted", predicted), ("true", truth)):
            strip.append((colours[labels], [title, _present(labels, class_names)]))
        cells.append(strip)
    return draw_sheet(cells, path) if cells else None


def _present(labels: np.ndarray, class_names: Sequence[str]) -> str:
    """Names of the labels in a map, the largest first."""
    found, counts = np.unique(labels[labels != IGNORED], return_counts=True)
    order = found[np.argsort(-counts, kind="stable")]
    return listed([class_names[n] if class_names else str(n) for n in order], _NAMES_SHOWN)
