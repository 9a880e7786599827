"""What `prepare` writes and `--prepared` reads: record files, and a manifest that lists them."""

import dataclasses
from pathlib import Path
from typing import Any

from ssl_tf.errors import UserError
from ssl_tf.files import read_json, write_json

MANIFEST = "prepared.json"
# Names of the splits.
TRAIN, VALIDATION = "train", "validation"
# Keys of the features of a record.
IMAGE, ID, LABEL = "image/encoded", "image/id", "image/class/label"
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class RecordFile:
    """A record file.

    Attributes:
        name: in the directory of the manifest.
        records: their number.
        size: of the file, in bytes.
    """

    name: str
    records: int
    size: int


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What was prepared.

    Attributes:
        encoding: of the images, such as "jpeg".
        short_side: of the images, in pixels.
        class_names: by label; empty without classes.
        splits: name -> its record files; a split without images is left out.
        listing: number and SHA-256 of the paths from which it was made.
    """

    encoding: str
    short_side: int
    class_names: tuple[str, ...]
    splits: dict[str, list[RecordFile]]
    listing: dict[str, Any]

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
            raise UserError(
                f"--prepared={directory} has no {MANIFEST}: it is no result of prepare, or not "
                "complete; start prepare again with the same flags"
            )
        remedy = "prepare the images again, into a new directory"
        value = read_json(path, dict, remedy)
        if value.pop("version", None) != _VERSION:
            raise UserError(f"{path} is of another version of prepare; {remedy}")
        try:
            value["class_names"] = tuple(value["class_names"])
            value["splits"] = {
                name: [RecordFile(**file) for file in files]
                for name, files in value["splits"].items()
            }
            return cls(**value)
        except (TypeError, KeyError, AttributeError):
            raise UserError(f"{path} is damaged or of something else; {remedy}") from None
