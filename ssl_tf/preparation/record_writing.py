"""The last stage: writes the images of a split, in a drawn order, into record files."""

import dataclasses
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ssl_tf.data.prepared_manifest import ID, IMAGE, LABEL, PixelIndex, RecordFile
from ssl_tf.data.record_framing import DATA_AT, FRAME_BYTES
from ssl_tf.errors import UserError
from ssl_tf.files import remove, replacing, sha256_of
from ssl_tf.preparation import work_files
from ssl_tf.preparation.choosing import SPLITS
from ssl_tf.preparation.facts_table import FactsTable

# Files of units that a worker keeps open.
_OPEN_FILES = 64


@dataclasses.dataclass(frozen=True)
class Plan:
    """A record file to write.

    Attributes:
        split: name of its split.
        name: of the file.
        rows: int64, rows of the table of facts, in the order of the records.
    """

    split: str
    name: str
    rows: np.ndarray


def plan_files(
    splits: dict[str, np.ndarray], table: FactsTable, shard_mib: int, seed: int
) -> list[Plan]:
    """Draws the order of the images and cuts it into files of about equal numbers of images.

    The order is drawn here, so that a small shuffle buffer is enough in training.

    Args:
        splits: name -> int64, rows of its images, ascending.
        table: the facts of all images.
        shard_mib: wanted size of a file, in MiB.
        seed: of the order.
    """
    plans = []
    for number, (split, rows) in enumerate(splits.items()):
        if not rows.size:
            continue
        # Of NumPy's generators this one alone promises the same numbers in all versions.
        order = rows[np.random.RandomState([seed, number]).permutation(rows.size)]
        count = min(rows.size, max(1, math.ceil(table.length[rows].sum() / (shard_mib * 2**20))))
        plans += [
            Plan(split, f"{split}-{n:05d}-of-{count:05d}.tfrecord", part)
            for n, part in enumerate(np.array_split(order, count))
        ]
    return plans


def begin_plans(work: Path, output: Path, plans: list[Plan], table: FactsTable) -> None:
    """Writes what workers need to write the record files.

    Files of other plans are removed: another version may have begun, which chose other images.

    Args:
        work: directory of the work under way.
        output: of the record files.
        plans: of all record files.
        table: the facts of all images.
    """
    folder = work / work_files.PLANS
    paths = [work_files.path_of(work, work_files.PLANS, number) for number in range(len(plans))]
    begun = set(folder.iterdir()) if folder.exists() else set()
    if begun - set(paths) or any(
        work_files.read(path, dict) != _told(plan, table)
        for path, plan in zip(paths, plans)
        if path in begun
    ):
        remove_record_files(output)
        remove(folder)
    folder.mkdir(exist_ok=True)
    for path, plan in zip(paths, plans):
        if not path.exists():
            work_files.write(path, _told(plan, table))


def remove_record_files(output: Path) -> None:
    """Removes the record files of all splits, which would be taken for those of this list."""
    for split in SPLITS:
        for record_file in output.glob(f"{split}-*-of-*.tfrecord"):
            remove(record_file)
            remove(PixelIndex.path(record_file))


def _told(plan: Plan, table: FactsTable) -> dict[str, Any]:
    """What a worker needs to write a record file."""
    columns = (table.unit, table.offset, table.length, table.label, table.height, table.width)
    numbers = np.stack([column[plan.rows] for column in columns], axis=1).tolist()
    images = [[table.ids[row], of_image] for row, of_image in zip(plan.rows, numbers)]
    return {"name": plan.name, "images": images}


def record_work(output: Path, labelled: bool, raw: bool) -> Callable[[int], None]:
    """The work of a worker: writes a record file, given the number of its plan.

    Args:
        output: of the preparation.
        labelled: the images have classes.
        raw: the images are pixels, whose places are written, too.
    """
    return lambda number: _write_file(number, output, labelled, raw)


def described(plans: list[Plan], output: Path) -> dict[str, list[RecordFile]]:
    """Split -> its record files, which are all written."""
    splits: dict[str, list[RecordFile]] = {}
    for plan in plans:
        path = output / plan.name
        index = PixelIndex.path(path)
        digest = sha256_of(index) if index.exists() else ""
        file = RecordFile(plan.name, plan.rows.size, path.stat().st_size, digest)
        splits.setdefault(plan.split, []).append(file)
    return splits


def _write_file(number: int, output: Path, labelled: bool, raw: bool) -> None:
    import tensorflow as tf

    work = output / work_files.WORK
    plan = work_files.read(work_files.path_of(work, work_files.PLANS, number), dict)
    path, place, places = output / plan["name"], 0, []
    with replacing(path, shared=True) as temporary:
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for image_id, encoded, label, height, width in _images(plan["images"], work):
                features = {IMAGE: _bytes(encoded), ID: _bytes(os.fsencode(image_id))}
                if labelled:
                    features[LABEL] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
                example = tf.train.Example(features=tf.train.Features(feature=features))
                serialized = example.SerializeToString(deterministic=True)
                writer.write(serialized)
                if raw:
                    end = place + DATA_AT + serialized.index(encoded) + len(encoded)
                    places.append((image_id, label, end - 3 * height * width, height, width))
                place += len(serialized) + FRAME_BYTES
        if raw:
            # Before the record file, whose presence means that the work is done.
            PixelIndex.of(places).write(path)


def _images(images: list, work: Path) -> Iterator[tuple[str, bytes, int, int, int]]:
    """Yields id, encoding, label, height and width of each image of a plan.

    Raises:
        UserError: the file of a unit is gone, or shorter than its facts say.
    """
    files: dict[int, BinaryIO] = {}
    try:
        for image_id, (unit, offset, length, *numbers) in images:
            if unit not in files:
                if len(files) == _OPEN_FILES:
                    files.pop(next(iter(files))).close()
                files[unit] = _open_unit(work, unit)
            files[unit].seek(offset)
            encoded = files[unit].read(length)
            if len(encoded) != length:
                raise _damaged(work, unit, "ends too early")
            yield image_id, encoded, *numbers
    finally:
        for file in files.values():
            file.close()


def _open_unit(work: Path, unit: int) -> BinaryIO:
    try:
        return work_files.path_of(work, work_files.PIXELS, unit).open("rb")
    except FileNotFoundError:
        raise _damaged(work, unit, "is gone") from None


def _damaged(work: Path, unit: int, cause: str) -> UserError:
    """Names the file of a unit and the way out: a unit without facts is read again."""
    pixels, facts = (
        work_files.path_of(work, kind, unit) for kind in (work_files.PIXELS, work_files.FACTS)
    )
    return UserError(f"{pixels} {cause}; remove {facts}, and its images are read again")


def _bytes(value: bytes):
    import tensorflow as tf

    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
