"""The facts of all images that the choice of images needs, in columns: about 200 bytes an image."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ssl_tf.preparation import work_files
from ssl_tf.preparation.file_list import class_of
from ssl_tf.preparation.image_units import KEPT
from ssl_tf.preparation.perceptual_hash import COLOURS

_SHA256_BYTES = 32


@dataclasses.dataclass(frozen=True)
class FactsTable:
    """One row an image, in the order of the paths.

    Attributes:
        ids: paths of the files.
        readable: bool [n], the image was read and has no reason to be left out.
        label: int64 [n], its class; 0 without classes.
        sha256: uint8 [n, 32], of the file; 0 if it could not be opened.
        hash: uint64 [n], of what it shows; 0 unless readable.
        colours: uint8 [n, COLOURS].
        unit, offset, length: int64 [n], where its encoding lies.
        height, width: int64 [n], its prepared sides.
    """

    ids: list[str]
    readable: np.ndarray
    label: np.ndarray
    sha256: np.ndarray
    hash: np.ndarray
    colours: np.ndarray
    unit: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    height: np.ndarray
    width: np.ndarray


def read_facts(work: Path, units: int) -> Iterator[tuple[int, dict]]:
    """Yields (unit, facts) of each image, in the order of the paths."""
    for unit in range(units):
        for facts in work_files.read(work_files.path_of(work, work_files.FACTS, unit), list):
            yield unit, facts


def read_table(work: Path, units: int, count: int, classes: list[str]) -> FactsTable:
    """The table of all units.

    Args:
        work: directory of the work under way.
        units: their number.
        count: number of images.
        classes: names of the classes; empty without.
    """
    label_of = {name: label for label, name in enumerate(classes)}
    numbers = np.zeros([6, count], np.int64)
    table = FactsTable(
        ids=[],
        readable=np.zeros(count, bool),
        label=numbers[0],
        sha256=np.zeros([count, _SHA256_BYTES], np.uint8),
        hash=np.zeros(count, np.uint64),
        colours=np.zeros([count, COLOURS], np.uint8),
        unit=numbers[1],
        offset=numbers[2],
        length=numbers[3],
        height=numbers[4],
        width=numbers[5],
    )
    for row, (unit, facts) in enumerate(read_facts(work, units)):
        table.ids.append(facts["id"])
        table.label[row] = label_of.get(class_of(facts["id"]), 0)
        table.unit[row], table.offset[row] = unit, facts["offset"]
        table.length[row] = facts["length"]
        if "sha256" in facts:
            table.sha256[row] = np.frombuffer(bytes.fromhex(facts["sha256"]), np.uint8)
        if facts["status"] == KEPT:
            table.readable[row] = True
            table.width[row], table.height[row] = facts["prepared"]
            table.hash[row] = int(facts["hash"], 16)
            table.colours[row] = np.frombuffer(bytes.fromhex(facts["colours"]), np.uint8)
    return table
