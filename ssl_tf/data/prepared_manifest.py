"""What `prepare` writes and `--prepared` reads: record files, and a manifest that lists them."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssl_tf.errors import UserError
from ssl_tf.files import read_json, replacing, sha256_of, write_json

MANIFEST = "prepared.json"
# The figures of the collection, beside the manifest, and a line for each file.
REPORT, IMAGES = "report.json", "images.csv"
# Names of the splits.
TRAIN, VALIDATION = "train", "validation"
# Keys of the features of a record.
IMAGE, ID, LABEL = "image/encoded", "image/id", "image/class/label"
_VERSION = 1
_AGAIN = "prepare the images again, into a new directory"
# Ends the name of the file beside a record file that says where its pixels lie.
_INDEX = ".index.npz"


def has_turned_images(directory: Path) -> bool:
    """Whether EXIF turned any of the prepared images; true if their report does not tell."""
    try:
        report = read_json(directory / REPORT, dict, "prepare the images again")
        return report["special"]["turned"] > 0
    except (UserError, OSError, KeyError, TypeError):
        return True


@dataclasses.dataclass(frozen=True)
class RecordFile:
    """A record file.

    Attributes:
        name: in the directory of the manifest.
        records: their number.
        size: of the file, in bytes.
        index: SHA-256 of its index, hexadecimal; empty without one, and in manifests of earlier
            versions.
    """

    name: str
    records: int
    size: int
    index: str = ""

    def check(self, directory: Path) -> None:
        """Checks that the file has its size, without reading it, and that its index is there.

        Raises:
            UserError: it is gone or cut, or its index is gone.
        """
        path = directory / self.name
        index = PixelIndex.path(path)
        if self.index and not index.is_file():
            raise UserError(f"{index} is gone: restore the file, or {_AGAIN}")
        size = path.stat().st_size if path.is_file() else -1
        if size != self.size:
            found = "is gone" if size < 0 else f"has {size} bytes, not {self.size}"
            raise UserError(f"{path} {found}: restore the file, or {_AGAIN}")


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What was prepared.

    Attributes:
        encoding: of the images, such as "jpeg".
        short_side: of the images, in pixels.
        class_names: by label; empty without classes.
        splits: name -> its record files; a split without images is left out.
        listing: number of the files from which it was made, and SHA-256 of their paths and of
            their sizes.
        root: folder of those files, absolute and without links.
    """

    encoding: str
    short_side: int
    class_names: tuple[str, ...]
    splits: dict[str, list[RecordFile]]
    listing: dict[str, Any]
    root: str

    def write(self, directory: Path) -> None:
        """Writes the manifest, which means that all other files are complete."""
        splits = {n: [dataclasses.asdict(f) for f in files] for n, files in self.splits.items()}
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        write_json(directory / MANIFEST, {"version": _VERSION, **fields, "splits": splits})

    @classmethod
    def read(cls, directory: Path) -> "Manifest":
        """Reads the manifest of a directory.

        Raises:
            UserError: there is none, or it is damaged or of a later version.
        """
        path = directory / MANIFEST
        if not path.is_file():
            if not directory.exists():
                raise UserError(f"--prepared={directory} does not exist; correct the name")
            raise UserError(
                f"--prepared={directory} has no {MANIFEST}: it is no result of prepare, or not "
                "complete; start prepare again with the same flags, and give a folder of images as "
                "--image_folder"
            )
        value = read_json(path, dict, _AGAIN)
        if value.pop("version", None) != _VERSION:
            raise UserError(f"{path} is of another version of prepare; {_AGAIN}")
        try:
            value["class_names"] = tuple(value["class_names"])
            value["splits"] = {
                name: [RecordFile(**file) for file in files]
                for name, files in value["splits"].items()
            }
            return cls(**value)
        except (TypeError, KeyError, AttributeError):
            raise UserError(f"{path} is damaged or of something else; {_AGAIN}") from None


@dataclasses.dataclass(frozen=True)
class PixelIndex:
    """Where the pixels of a record file lie, so that they are read in any order, without records.

    Attributes:
        id: bytes [n].
        label: int64 [n].
        offset: int64 [n], of the first pixel in the file.
        height, width: int64 [n].
    """

    id: np.ndarray
    label: np.ndarray
    offset: np.ndarray
    height: np.ndarray
    width: np.ndarray

    @classmethod
    def of(cls, places: Sequence[tuple[str, int, int, int, int]]) -> "PixelIndex":
        """The index of (id, label, offset, height, width) of each record; at least one."""
        ids, *numbers = zip(*places)
        columns = (np.array(column, np.int64) for column in numbers)
        return cls(np.array(list(map(os.fsencode, ids))), *columns)

    @staticmethod
    def path(records: Path) -> Path:
        """The path of the index of a record file."""
        return records.with_name(records.name + _INDEX)

    def write(self, records: Path) -> None:
        """Writes the index of a record file."""
        path = self.path(records)
        with replacing(path, shared=True) as temporary, temporary.open("wb") as file:
            np.savez(file, **vars(self))

    @classmethod
    def read(cls, records: Path, sha256: str) -> "PixelIndex":
        """Reads the index of a record file.

        Args:
            records: the record file.
            sha256: as in the manifest.

        Raises:
            UserError: it is damaged, gone, or of another preparation.
        """
        path = cls.path(records)
        try:
            found = sha256_of(path) if sha256 else ""
            with np.load(path, allow_pickle=False) as file:
                index = cls(**file)
        except Exception as error:  # of many kinds, at a damaged file
            cause = " ".join(str(error).split())[:200]
            raise UserError(f"{path} cannot be read ({cause}): {_AGAIN}") from None
        if found != sha256:
            raise UserError(
                f"{path} is damaged or of another preparation: restore the file, or {_AGAIN}"
            )
        return index
