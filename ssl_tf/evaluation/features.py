"""Features of a source's images by a frozen encoder."""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from ssl_tf.data.batches import evaluation_batches
from ssl_tf.data.labels import HIDDEN, check_labels
from ssl_tf.data.source import Source
from ssl_tf.errors import UserError, warn

Encode = Callable[[tf.Tensor], tf.Tensor]
# Images that are encoded at once.
BATCH = 250


class FeatureReader:
    """The features of a source's readable images, centre-cropped, in the source's order.

    The input pipeline is built once and can be read many times. TensorFlow never frees all memory
    of a pipeline, so a monitor that built one for every measurement would leak.
    """

    def __init__(
        self,
        encode: Encode,
        source: Source,
        image_size: int,
        *,
        whole: bool = False,
        finite: bool = True,
        hidden_labels: bool = False,
    ):
        """
        Args:
            encode: uint8 [B, S, S, 3] -> float [B, D], with B up to `BATCH`.
            source: labelled or not.
            image_size: S, in pixels.
            whole: whether to take the whole centre square, as in `evaluation_crop`.
            finite: refuse features that are NaN or infinite.
            hidden_labels: take images whose label is not public, too.
        """
        self._encode = encode
        self._hidden_labels = hidden_labels
        self._source = source
        self._finite = finite
        self._batches = evaluation_batches(source, image_size, BATCH, whole=whole)

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Reads the features batch by batch.

        Yields:
            Features float32 [B, D], and labels: int64 [B], float32 [B, C] of a multi-label source,
            or None.

        Raises:
            UserError: a label is outside of the source's classes, too many images are unreadable or
                all are, the stored data is damaged, or features are not finite.
        """
        judged = 0
        with self._source.reading():
            for batch in self._batches:
                labels = batch["label"].numpy() if "label" in batch else None
                if labels is not None and self._source.num_classes:
                    several = labels.ndim == 2 or not self._hidden_labels
                    checked = ... if several else labels != HIDDEN
                    check_labels(labels[checked], batch["index"].numpy()[checked], self._source)
                features = self._encode(batch["image"]).numpy()
                if self._finite:
                    check_finite(features, batch["index"].numpy(), self._source)
                judged += len(features)
                yield features, labels
        if not judged:
            raise UserError(
                f"{self._source.name}: none of its {self._source.size} images can be decoded; mend "
                "or convert them"
            )

    def read(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The features of all batches, float32 [N, D], and their labels [N], [N, C] or None."""
        features, labels = zip(*self.batches())
        return np.concatenate(features), None if labels[0] is None else np.concatenate(labels)


def check_finite(features: np.ndarray, indices: np.ndarray, source: Source) -> None:
    """Refuses features that are NaN or infinite, or whose squares are beyond float32.

    Args:
        features: [N, D].
        indices: indices of their images in the source, [N].
        source: of the images.

    Raises:
        UserError: names the first such image.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        infinite = ~np.isfinite(np.linalg.norm(features.astype(np.float32), axis=1))
    if infinite.any():
        raise UserError(
            f"{source.name}: the features of image {indices[np.argmax(infinite)]} are not finite: "
            "the encoder has diverged, or its file is damaged; give an earlier --step, train it at "
            "a lower rate, or copy the file again"
        )


def warn_of_absent_classes(
    train: Source, train_labels: np.ndarray, test_labels: np.ndarray
) -> None:
    """Warns on stderr of classes of the test images that no train image has, and of the others.

    Means over classes are of those that the test images show.

    Args:
        train: source of the train images.
        train_labels, test_labels: [N] integer, or [N, C] of 0 and 1.
    """

    def present(labels: np.ndarray) -> set[int]:
        return set(np.flatnonzero(labels.any(axis=0)) if labels.ndim == 2 else np.unique(labels))

    shown = present(test_labels)
    if len(shown) < train.num_classes:
        warn(
            f"the test images show {len(shown)} of the {train.num_classes} classes, and figures "
            "that are means over classes are of these"
        )
    absent = sorted(shown - present(train_labels))
    if absent:
        names = [str(train.class_names[c] if train.class_names else c) for c in absent[:5]]
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        warn(
            f"no image of {train.name} is of class {', '.join(names)}{more}, which the "
            "test images show: it counts as missed"
        )
