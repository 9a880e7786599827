"""The record of the data of a directory, so that no later start goes on with other data."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

from ssl_tf.data.source import Source
from ssl_tf.errors import UserError
from ssl_tf.files import read_json, write_json

DATA = "data.json"


@dataclasses.dataclass(frozen=True)
class DataDigest:
    """What tells the examples of a source from those of another.

    Attributes:
        count: number of examples.
        first, last: of the sorted names of `Source.contents`.
        sha256: of all of them, hexadecimal.
    """

    count: int
    first: str
    last: str
    sha256: str


def digest_data(source: Source) -> DataDigest:
    """The digest of a source; no image is read."""
    names = sorted(source.contents())
    # Of each name and its length, so that no two lists run together.
    sha256 = hashlib.sha256(b"".join(b"%d:%s" % (len(name), name) for name in names))
    first, last = (name.decode("utf-8", "backslashreplace") for name in (names[0], names[-1]))
    return DataDigest(source.size, first, last, sha256.hexdigest())


def keep_data(directory: Path, sources: Mapping[str, Source]) -> None:
    """Checks that a directory goes on with its data, or records the data of its first start.

    A directory of an earlier version has no record; it gets one now.

    Args:
        directory: with a lock that this process holds.
        sources: by their part in the work.

    Raises:
        UserError: the data is not that of the first start; the message says what differs.
    """
    path = directory / DATA
    here = {name: dataclasses.asdict(digest_data(source)) for name, source in sources.items()}
    if not path.exists():
        write_json(path, here)
        return
    remedy = "put the data back, or remove that file to go on with the data as it is now"
    there = read_json(path, dict, remedy)
    for name in {**there, **here}:
        old, new = there.get(name), here.get(name)
        if old != new:
            differing = [
                f"{key} {_value(old, key)} there, {_value(new, key)} here"
                for key in ("count", "first", "last", "sha256")
                if _value(old, key) != _value(new, key)
            ]
            raise UserError(
                f"{path}: the {name} images are not those of the first start "
                f"({'; '.join(differing)}); {remedy}"
            )


def _value(digest: object, key: str) -> object:
    value = digest.get(key) if isinstance(digest, dict) else None
    return value[:12] if key == "sha256" and isinstance(value, str) else value
