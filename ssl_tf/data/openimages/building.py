"""The builder of OHMS, a multi-label data set of images and boxes of OpenImages.

The box CSVs are read twice, a piece at a time. The first pass counts, which decides the images and
classes. The second pass collects the boxes of the chosen images. Without --images only the lists
are written, so that only the listed images have to be fetched; with it, they and the counts are of
the images whose files are there.
"""

import dataclasses
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ssl_tf.data.openimages import selection
from ssl_tf.data.openimages.box_csv import BoxFile, BoxRows, format_id
from ssl_tf.data.openimages.id_lists import read_ids
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.files import write_json
from ssl_tf.locks import exclusive
from ssl_tf.settings import OpenImagesSettings, fields

_VERSION = "1.0.0"


@dataclasses.dataclass(frozen=True)
class _Split:
    """The images of a split.

    Attributes:
        boxes: their box file.
        folder: of their files.
        images: uint64 [images], their ids.
        counts: of their boxes; None for those that are drawn of all images.
    """

    boxes: BoxFile
    folder: str
    images: np.ndarray
    counts: selection.BoxCounts | None = None


def build(settings: OpenImagesSettings) -> None:
    """Chooses images and classes, writes the lists and, with --images, the data set.

    Raises:
        UserError: a file is missing or damaged, no image is left, or another process builds the
            same data set.
    """
    target = Path(settings.output) / settings.name
    with exclusive(target):
        if (target / _VERSION).exists():
            raise SettingsError(f"{target / _VERSION} exists; give another --name or --output")
        _build(settings, target)


def _build(settings: OpenImagesSettings, target: Path) -> None:
    label_numbers: dict[str, int] = {}
    train = _box_file(settings, "boxes")
    counts = _counts(train, label_numbers)
    train.check_sources()  # the test boxes may lack one
    chosen, steps = _choose_train(settings, counts)
    stats = {"paper": selection.PAPER, "settings": fields.as_dict(settings), "train": steps}
    splits = {"train": _Split(train, settings.images, chosen.images, chosen)}
    if settings.test_boxes:
        test = _box_file(settings, "test_boxes")
        test_counts = _counts(test, label_numbers)
        chosen_test, stats["test"] = _choose_test(settings, test_counts, chosen.classes)
        _check_apart(chosen.images, chosen_test.images)
        splits["test"] = _Split(test, settings.test_images, chosen_test.images, chosen_test)
    if settings.random_control:
        tested = splits["test"].images if "test" in splits else np.zeros(0, np.uint64)
        others = selection.only_images(counts, np.setdiff1d(counts.images, tested))
        drawn = selection.draw_images(others, len(chosen.images), settings.seed)
        stats["random"] = [{"step": "drawn of all images with boxes", "images": len(drawn)}]
        splits["random"] = _Split(train, settings.images, drawn)
    label_of = {number: label for label, number in label_numbers.items()}
    labels = sorted(label_of[number] for number in chosen.classes.tolist())
    if settings.images:
        stats["missing_files"] = {}
        for name, split in splits.items():
            splits[name] = _with_files(settings, name, split, stats)
    staging = target.with_name(f"{settings.name}.writing")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    if settings.images:
        _write_images(staging / settings.name / _VERSION, splits, labels, label_numbers, stats)
    _publish(staging, target, splits, labels, stats)


def _counts(file: BoxFile, label_numbers: dict[str, int]) -> selection.BoxCounts:
    """The counts of a file's boxes; tells how many `BoxFile.read` leaves out."""
    left_out = 0

    def pieces() -> Iterator[BoxRows]:
        nonlocal left_out
        for piece in file.read(label_numbers):
            left_out += piece.left_out
            yield piece

    counts = selection.count_boxes(pieces())
    if left_out:
        told = f"{file.flag}={file.path}: {left_out} boxes without area are left out"
        print(told, file=sys.stderr)
    return counts


def _choose_train(
    settings: OpenImagesSettings, counts: selection.BoxCounts
) -> tuple[selection.BoxCounts, list[dict]]:
    """The counts of the chosen train images, and the counts after each step."""
    if settings.ids:
        listed = read_ids(Path(settings.ids), "--ids")
        chosen = selection.only_images(counts, listed)
        steps = [_boxed(counts), _listed(listed, chosen)]
    else:
        chosen, steps = selection.select(
            counts,
            min_classes=settings.min_classes,
            min_images=settings.min_images,
            min_classes_after=settings.min_classes_after,
            to_fixed_point=settings.to_fixed_point,
        )
        steps = [_boxed(counts), *steps]
    if settings.max_images:
        drawn = selection.draw_images(chosen, settings.max_images, settings.seed)
        chosen = selection.only_images(chosen, drawn)
        steps.append({"step": f"at most {settings.max_images} images", **chosen.describe()})
    _print_steps("train", steps)
    if not len(chosen.images):
        raise UserError(
            f"no image of --boxes={settings.boxes} is left: "
            + ", then ".join(f"{step['step']}: {step['images']}" for step in steps)
        )
    return chosen, steps


def _choose_test(
    settings: OpenImagesSettings, counts: selection.BoxCounts, classes: np.ndarray
) -> tuple[selection.BoxCounts, list[dict]]:
    """The counts of the test images with a class of the train images, and those of each step."""
    steps = [_boxed(counts)]
    if settings.test_ids:
        listed = read_ids(Path(settings.test_ids), "--test_ids")
        counts = selection.only_images(counts, listed)
        steps.append(_listed(listed, counts))
    counts = selection.only_classes(counts, classes)
    steps.append({"step": "images of a kept class", **counts.describe()})
    _print_steps("test", steps)
    if not len(counts.images):
        raise UserError(
            f"no image of --test_boxes={settings.test_boxes} shows one of the {len(classes)} "
            "classes of the train images"
        )
    return counts, steps


def _check_apart(train: np.ndarray, test: np.ndarray) -> None:
    """Raises UserError if an image is in both splits."""
    common = np.intersect1d(train, test)
    if len(common):
        raise UserError(
            f"{len(common)} images are in train and in test, such as {format_id(common[0])}: a "
            "figure on them would be of learned images; give --test_boxes, or --test_ids, of others"
        )


def _boxed(counts: selection.BoxCounts) -> dict:
    return {"step": "images with boxes", **counts.describe()}


def _listed(ids: np.ndarray, counts: selection.BoxCounts) -> dict:
    return {"step": f"images of the list, which has {len(ids)}", **counts.describe()}


def _box_file(settings: OpenImagesSettings, flag: str) -> BoxFile:
    return BoxFile(
        Path(getattr(settings, flag)),
        f"--{flag}",
        settings.sources,
        settings.drop_group_of,
        settings.drop_depiction,
    )


def _with_files(settings: OpenImagesSettings, name: str, split: _Split, stats: dict) -> _Split:
    """The images of a split whose files are there; the others are listed in `stats`.

    Raises:
        UserError: more are missing than --max_missing allows.
    """
    from ssl_tf.data.openimages import boxed_images

    missing = boxed_images.missing_images(Path(split.folder), split.images)
    absent = [format_id(image) for image in split.images[missing].tolist()]
    if len(absent) == len(missing) or len(absent) > settings.max_missing * len(missing):
        raise UserError(
            f"{split.folder} lacks {len(absent)} of the {len(missing)} images of {name}, or they "
            f"are no JPEGs, {absent[0]}.jpg the first: fetch them (without --images their list is "
            f"written), or raise --max_missing={settings.max_missing}"
        )
    stats["missing_files"][name] = {"count": len(absent), "ids": absent}
    if not absent:
        return split
    print(f"{name}: {len(absent)} images are missing or no JPEGs, and left out", file=sys.stderr)
    images, counts = split.images[~missing], split.counts
    described = {"images": len(images)}
    if counts is not None:
        counts = selection.only_images(counts, images)
        described = counts.describe()
    stats[name].append({"step": "images whose file is there", **described})
    return dataclasses.replace(split, images=images, counts=counts)


def _write_images(
    directory: Path,
    splits: dict[str, _Split],
    labels: list[str],
    label_numbers: dict[str, int],
    stats: dict,
) -> None:
    """Writes the data set."""
    from ssl_tf.data.openimages import boxed_images

    class_of_label = np.full(len(label_numbers), -1, np.int32)
    class_of_label[[label_numbers[label] for label in labels]] = np.arange(len(labels))
    written = {
        name: (
            Path(split.folder),
            boxed_images.collect_boxes(
                split.boxes.read(label_numbers), split.images, class_of_label
            ),
        )
        for name, split in splits.items()
    }
    directory.mkdir(parents=True)
    boxed_images.write_dataset(
        directory, written, labels, f"Images of OpenImages chosen by ssl_tf: {stats['train'][-1]}"
    )


def _publish(
    staging: Path, target: Path, splits: dict[str, _Split], labels: list[str], stats: dict
) -> None:
    """Writes the lists next to the data set, and moves everything to its final place."""
    finished = staging / target.name
    finished.mkdir(exist_ok=True)
    write_json(finished / "stats.json", stats)
    (finished / "classes.txt").write_text("".join(f"{label}\n" for label in labels))
    for name, split in splits.items():
        lines = "".join(f"{format_id(image)}\n" for image in split.images.tolist())
        (finished / f"{name}_ids.txt").write_text(lines)
    target.mkdir(parents=True, exist_ok=True)
    # Of an earlier call, which may have had other splits.
    for name in ("train", "test", "random"):
        (target / f"{name}_ids.txt").unlink(missing_ok=True)
    # The data set is moved last: its presence means that the target is complete.
    for path in sorted(finished.iterdir(), key=lambda path: path.is_dir()):
        path.replace(target / path.name)
    shutil.rmtree(staging)
    print(f"{len(labels)} classes; counts, lists and data set in {target}")


def _print_steps(split: str, steps: list[dict]) -> None:
    for step in steps:
        print(
            f"{split}: {step['step']}: {step['images']} images, {step['classes']} classes, "
            f"{step['boxes_per_image']} boxes an image",
            flush=True,
        )
