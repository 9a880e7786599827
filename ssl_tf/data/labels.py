"""The labels of a whole source, and the labelled share for semi-supervised training."""

import ast
import collections
import contextlib
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssl_tf.data.source import Source
from ssl_tf.errors import SettingsError, UserError, warn
from ssl_tf.files import replacing
from ssl_tf.settings import ShareSettings

_READ_AT_ONCE = 1024
# The label of TFDS for an image of a split whose labels are not public.
HIDDEN = -1
# The comment at the head of a list, as `choose_share` has it written.
_DRAWN_OF = re.compile(rb"# \d+ of the \d+ images of (?P<name>.+?): ")


def read_annotations(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Ids and labels of all images, in canonical order; no image is decoded.

    Returns:
        ids: bytes [N].
        labels: int64 [N], or float32 [N, C] of a multi-label source.

    Raises:
        UserError: a label is outside of the source's classes.
    """
    ids, labels = [], []
    for batch in source.read(source.annotations().batch(_READ_AT_ONCE)):
        begin = sum(map(len, ids))
        check_labels(batch["label"], np.arange(begin, begin + len(batch["id"])), source)
        ids.append(batch["id"])
        labels.append(batch["label"])
    return np.concatenate(ids), np.concatenate(labels)


def readable_labels(source: Source, ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The labels without those of images that could not be read so far.

    Args:
        source: that was read.
        ids, labels: of `read_annotations`.
    """
    unreadable = source.unreadable.ids
    return labels[[image_id not in unreadable for image_id in ids.tolist()]]


def check_first_labels(source: Source) -> None:
    """Looks at some labels before the work: of a split without public labels all are wrong.

    Raises:
        UserError: a label is outside of the source's classes, no image of several labels shows any
            class, or the stored data is damaged.
    """
    if source.multi_label and labels_are_hidden(source):
        raise UserError(
            f"{source.name}: no image shows any class; give a split whose labels are known"
        )
    for batch in source.read(source.annotations().take(_READ_AT_ONCE).batch(_READ_AT_ONCE)):
        check_labels(batch["label"], np.arange(len(batch["id"])), source)


def labels_are_hidden(source: Source) -> bool:
    """Whether the labels of a split are not public.

    Its first image tells it, or, where images have several labels, that none has any.
    """
    if not source.num_classes:
        return False
    if source.multi_label:
        return not any(example["label"].any() for example in source.read(source.annotations()))
    first = list(source.read(source.annotations().take(1)))
    return bool(first) and first[0]["label"] == HIDDEN


def check_labels(labels: np.ndarray, indices: np.ndarray, source: Source) -> None:
    """Compares labels with the number of classes of their source.

    Args:
        labels: [N] integer, or [N, C] of 0 and 1.
        indices: indices of the images in the source, [N].
        source: the source of the labels.

    Raises:
        UserError: a label is outside of the source's classes.
    """
    multi_label = labels.ndim == 2
    wrong = np.any((labels != 0) & (labels != 1), axis=1) if multi_label else None
    if not multi_label:
        wrong = (labels < 0) | (labels >= source.num_classes)
    if wrong.any():
        row = int(np.argmax(wrong))
        problem = "labels other than 0 and 1" if multi_label else f"the label {labels[row]}"
        hidden = not multi_label and labels[row] == HIDDEN
        remedy = "give a split whose labels are known" if hidden else "correct the data"
        raise UserError(
            f"{source.name}: image {indices[row]} has {problem}, but there are "
            f"{source.num_classes} classes, counted from 0; {remedy}"
        )


def choose_share(
    source: Source,
    ids: np.ndarray,
    labels: np.ndarray,
    settings: ShareSettings,
    path: Path | None,
    of: str = "",
) -> tuple[np.ndarray, str]:
    """The labelled images that the settings name, and what they are in words.

    Args:
        source: all images.
        ids: their ids, bytes [N].
        labels: their labels, as in `draw_share`.
        settings: of the share, which is not all.
        path: text file for the ids of the labelled images, written; None: there is none.
        of: what the share is drawn of, for the description; empty: each class, or all images where
            they have several labels.

    Returns:
        bool [N], and the description, which tells lists of one name apart.

    Raises:
        UserError: a class is empty, or the list is of other images.
    """
    if settings.labels_from:
        description = f"those of {Path(settings.labels_from).name}"
        keep = read_list(Path(settings.labels_from), ids, source)
        listed = f" ({_digest(ids[keep])})"
    else:
        of = of or ("all images" if source.multi_label else "each class")
        description = f"{100 * settings.label_fraction:g} % of {of}, seed {settings.label_seed}"
        keep = draw_share(labels, source, settings.label_fraction, settings.label_seed)
        listed = ""
    comment = f"{keep.sum()} of the {source.size} images of {source.name}: {description}"
    if path is not None:
        write_list(path, ids[keep], [comment])
    return keep, description + listed


def _digest(ids: np.ndarray) -> str:
    return hashlib.sha256(b"\n".join(map(_line, ids))).hexdigest()[:8]


def draw_share(labels: np.ndarray, source: Source, fraction: float, seed: int) -> np.ndarray:
    """The images whose labels a share contains: bool [N].

    A share has the same fraction of each class, rounded, and at least one image of it. The images
    of a class are shuffled by (seed, class), and a share is the beginning of that order. So a
    smaller share of a seed is part of a larger one. Images with several labels are drawn without
    regard to their labels.

    Args:
        labels: labels of all images, [N] integer or [N, C] of 0 and 1.
        source: the source of the labels.
        fraction: size of the share, in (0, 1].
        seed: seed of the order.

    Raises:
        UserError: a class has no image.
    """
    multi_label = labels.ndim == 2
    classes = np.zeros(len(labels), np.int64) if multi_label else labels
    keep = np.zeros(len(labels), bool)
    for label in range(1 if multi_label else source.num_classes):
        members = np.flatnonzero(classes == label)
        if not len(members):
            name = source.class_names[label] if source.class_names else label
            raise UserError(
                f"{source.name}: class {name} is empty, so no share of its images can be labelled; "
                "add images or remove the class"
            )
        order = np.random.default_rng([seed, label]).permutation(members)
        keep[order[: max(1, round(fraction * len(members)))]] = True
    return keep


def read_list(path: Path, ids: np.ndarray, source: Source) -> np.ndarray:
    """The images that a list names: bool [N]; a list of another source is told on stderr.

    Args:
        path: text file with one id a line, as written by `write_list` and by SimCLR; other lines
            that begin with # are comments.
        ids: ids of all images, bytes [N].
        source: the source of the images.

    Raises:
        UserError: the list cannot be read, is empty, names images that are not in the source, or
            names several by one id.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"--labels_from={path}: {error.strerror}") from None
    drawn = _DRAWN_OF.match(lines[0]) if lines else None
    if drawn and (name := drawn["name"].decode(errors="replace")) != source.name:
        warn(
            f"--labels_from={path} was drawn of {name}, and its ids are taken for those of "
            f"{source.name}"
        )
    known = set(ids)
    listed = {image_id for line in lines if (image_id := _listed_id(line, known))}
    if not listed:
        raise UserError(f"--labels_from={path} names no image")
    keep = np.array([image_id in listed for image_id in ids])
    unknown = listed - set(ids[keep])
    if unknown:
        first = min(unknown).decode(errors="backslashreplace")
        raise UserError(
            f"--labels_from={path}: {len(unknown)} of its {len(listed)} images are not in "
            f"{source.name}, such as {first!r}; give the list of this data set"
        )
    if keep.sum() != len(listed):
        shared, count = collections.Counter(ids[keep]).most_common(1)[0]
        raise UserError(
            f"--labels_from={path}: its {len(listed)} ids are those of {keep.sum()} images of "
            f"{source.name}, such as {shared.decode(errors='backslashreplace')!r} of {count}; give "
            "each image an id of its own, in record files under image/id"
        )
    return keep


def write_list(path: Path, ids: np.ndarray, comments: Sequence[str]) -> None:
    """Writes comments, then ids, one a line; the file is complete or absent.

    An id that a line cannot hold is written as a Python literal of bytes: b'two\\nlines'.

    Args:
        path: the file.
        ids: ids of images, bytes.
        comments: lines without the leading #; they may name another place than those of a file
            that exists.

    Raises:
        SettingsError: the file exists and has other ids.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [*(f"# {comment}".encode() for comment in comments), *map(_line, ids), b""]
    if path.exists() and path.read_bytes().split(b"\n")[len(comments) :] != lines[len(comments) :]:
        raise SettingsError(
            f"{path} names other images than these flags do; give another --output, or remove its "
            "directory"
        )
    with replacing(path) as temporary:
        temporary.write_bytes(b"\n".join(lines))


def _line(image_id: bytes) -> bytes:
    return repr(image_id).encode() if image_id.splitlines() != [image_id] else image_id


def _listed_id(line: bytes, known: set[bytes]) -> bytes:
    """The id on a line; empty for a comment or an empty line.

    What an id may look like is only known by the ids of the source: outer spaces may belong to it,
    and it may begin with #.
    """
    stripped = line.strip()
    for image_id in (line, stripped):
        if image_id in known:
            return image_id
    if stripped.startswith((b"b'", b'b"')):
        with contextlib.suppress(ValueError, SyntaxError):
            return ast.literal_eval(stripped.decode())
    return b"" if stripped.startswith(b"#") else stripped
