"""The labels of a whole source, and the share of them that a semi-supervised training may see."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssl_tf.data.source import Source
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.files import replacing

_AT_ONCE = 1024


def read_annotations(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Ids and labels of all images, in canonical order; no image is decoded.

    Returns:
        ids: bytes [N].
        labels: int64 [N], or float32 [N, C] of a multi-label source.

    Raises:
        UserError: a label is outside of the source's classes.
    """
    ids, labels = [], []
    for batch in source.annotations().batch(_AT_ONCE).as_numpy_iterator():
        begin = sum(map(len, ids))
        check_labels(batch["label"], np.arange(begin, begin + len(batch["id"])), source)
        ids.append(batch["id"])
        labels.append(batch["label"])
    return np.concatenate(ids), np.concatenate(labels)


def check_labels(labels: np.ndarray, indices: np.ndarray, source: Source) -> None:
    """Compares labels with the classes that their source says it has.

    Args:
        labels: [N] integer, or [N, C] of 0 and 1.
        indices: of the images in the source, [N].

    Raises:
        UserError: one is outside of them.
    """
    several = labels.ndim == 2
    wrong = np.any((labels != 0) & (labels != 1), axis=1) if several else None
    if not several:
        wrong = (labels < 0) | (labels >= source.num_classes)
    if wrong.any():
        row = int(np.argmax(wrong))
        told = "labels other than 0 and 1" if several else f"the label {labels[row]}"
        raise UserError(
            f"{source.name}: image {indices[row]} has {told}, but there are "
            f"{source.num_classes} classes, counted from 0; correct the data"
        )


def draw_share(labels: np.ndarray, source: Source, fraction: float, seed: int) -> np.ndarray:
    """Which images a share of the labels is of: bool [N].

    Of each class the same share, rounded, and one image at least. The images of a class are put in
    an order drawn from (seed, class), and a share is the beginning of it: smaller shares of a seed
    lie within larger ones. Of images with several labels a share is drawn without regard to them.

    Args:
        labels: of all images: [N] integer, or [N, C] of 0 and 1.
        source: whose they are.
        fraction: in (0, 1].
        seed: of the order.

    Raises:
        UserError: a class has no image.
    """
    several = labels.ndim == 2
    kinds = np.zeros(len(labels), np.int64) if several else labels
    keep = np.zeros(len(labels), bool)
    for kind in range(1 if several else source.num_classes):
        members = np.flatnonzero(kinds == kind)
        if not len(members):
            name = source.class_names[kind] if source.class_names else kind
            raise UserError(
                f"{source.name}: class {name} is empty, so no share of its images can be labelled; "
                "add images or remove the class"
            )
        order = np.random.default_rng([seed, kind]).permutation(members)
        keep[order[: max(1, round(fraction * len(members)))]] = True
    return keep


def read_list(path: Path, ids: np.ndarray, source: Source, flag: str) -> np.ndarray:
    """Which images a list names: bool [N].

    Args:
        path: text, an id a line, as `write_list` writes it and as SimCLR's lists are; lines that
            begin with # are comments.
        ids: of all images, bytes [N].
        source: whose they are.
        flag: that named the file.

    Raises:
        UserError: the list cannot be read, is empty, or names images that the source has not.
    """
    try:
        lines = (line.strip() for line in path.read_bytes().splitlines())
    except OSError as error:
        raise UserError(f"{flag}={path}: {error.strerror}") from None
    listed = {line for line in lines if line and not line.startswith(b"#")}
    if not listed:
        raise UserError(f"{flag}={path} names no image")
    keep = np.array([identity in listed for identity in ids])
    unknown = listed - set(ids[keep])
    if unknown:
        first = min(unknown).decode(errors="backslashreplace")
        raise UserError(
            f"{flag}={path}: {len(unknown)} of its {len(listed)} images are not in {source.name}, "
            f"such as {first!r}; give the list of this data set"
        )
    return keep


def write_list(path: Path, ids: np.ndarray, comments: Sequence[str]) -> None:
    """Writes ids, one a line, behind comments; the file is complete or absent.

    Raises:
        SettingsError: there is such a file already, of other images.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = b"\n".join([*(f"# {comment}".encode() for comment in comments), *ids]) + b"\n"
    if path.exists() and path.read_bytes() != text:
        raise SettingsError(
            f"{path} names other images than these flags do; give another --output, or remove its "
            "directory"
        )
    with replacing(path) as temporary:
        temporary.write_bytes(text)
