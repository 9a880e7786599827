"""The record of the data of a directory, so that no later start goes on with other data."""

import dataclasses
import hashlib
import itertools
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from ssl_tf.data.source import Source
from ssl_tf.errors import UserError
from ssl_tf.files import read_json, write_json
from ssl_tf.training.data_places import DATA
from ssl_tf.training.report_entries import ANNOTATIONS, CONTENTS

# Keys of a digest, and what they are in words.
_TOLD = {
    "count": "count",
    "first": "first",
    "last": "last",
    "sha256": "sha256",
    "classes": "classes",
    "details": "files or annotations",
}
_GO_ON = "remove that file to go on with what lies in their place now"


@dataclasses.dataclass(frozen=True)
class DataDigest:
    """What tells the examples of a source from those of another.

    Attributes:
        count: number of examples.
        first, last: of the sorted names of `Source.contents`.
        sha256: of all of them, hexadecimal.
        classes: number of classes; None without labels.
        details: SHA-256 of the names of the classes and of `Source.details`, hexadecimal.
    """

    count: int
    first: str
    last: str
    sha256: str
    classes: int | None
    details: str


# Several encoders are judged on one source, and workers compare what the chief records.
_DIGESTS: weakref.WeakKeyDictionary[Source, DataDigest] = weakref.WeakKeyDictionary()


def digest_data(source: Source) -> DataDigest:
    """The digest of a source, made once; no image is read.

    Raises:
        UserError: the stored data cannot be read, or is damaged.
    """
    if source not in _DIGESTS:
        _DIGESTS[source] = _digest(source)
    return _DIGESTS[source]


def contents_of(train: Source, test: Source) -> dict[str, dict[str, str]]:
    """The entry `CONTENTS` of a report: the begins of the `sha256` of its sources' digests.

    No details are read, such as sizes of files.
    """
    sources = {"train": train, "test": test}
    return {CONTENTS: {part: _sha256(sorted(s.contents()))[:12] for part, s in sources.items()}}


def annotations_of(train: Source, test: Source) -> dict[str, dict[str, str]]:
    """The entry `ANNOTATIONS` of a report: the begins of the `details` of its sources' digests."""
    sources = {"train": train, "test": test}
    return {ANNOTATIONS: {part: digest_data(s).details[:12] for part, s in sources.items()}}


def is_recorded(directory: Path, part: str, source: Source) -> bool:
    """Whether a source has the images that a directory recorded, or nothing is recorded of it.

    No details are read, such as sizes of files.

    Args:
        directory: of a run.
        part: of its images.
        source: the images now.

    Raises:
        UserError: the record is damaged.
    """
    path = directory / DATA
    record = read_json(path, dict, "restore it").get(part) if path.is_file() else None
    if not isinstance(record, dict):
        return True
    return record.get("sha256") == _sha256(sorted(source.contents()))


def _digest(source: Source) -> DataDigest:
    names = sorted(source.contents())
    first, last = (name.decode("utf-8", "backslashreplace") for name in (names[0], names[-1]))
    classes = [name.encode("utf-8", "surrogateescape") for name in source.class_names]
    details = itertools.chain([b"%d" % len(classes)], classes, source.details())
    return DataDigest(
        source.size, first, last, _sha256(names), source.num_classes, _sha256(details)
    )


def _sha256(texts: Iterable[bytes]) -> str:
    """The SHA-256 of texts, hexadecimal.

    Each text is taken with its length, so that no two lists run together.
    """
    sha = hashlib.sha256()
    for text in texts:
        sha.update(b"%d:%s" % (len(text), text))
    return sha.hexdigest()


def keep_data(
    directory: Path,
    sources: Mapping[str, Source],
    way_out: str = _GO_ON,
    replaceable: Mapping[str, Callable[[], None]] | None = None,
) -> None:
    """Checks that a directory goes on with its data, or records the data of its first start.

    A directory of version 0.1.0 has no record, and gets one now.

    Args:
        directory: with a lock that this process holds.
        sources: by their part in the work.
        way_out: what a user can do who does not want the data back, for the message.
        replaceable: part that may change -> removes what was made of it, before the record changes.

    Raises:
        UserError: the data is not that of the first start; the message says what differs.
    """
    path = directory / DATA
    here = {name: dataclasses.asdict(digest_data(source)) for name, source in sources.items()}
    if not path.exists():
        write_json(path, here)
        return
    replaceable = replaceable or {}
    others = check_data(directory, sources, way_out, replaceable)
    for name in others:
        replaceable[name]()
    if others:
        write_json(path, here)


def check_data(
    directory: Path,
    sources: Mapping[str, Source],
    way_out: str = _GO_ON,
    replaceable: Collection[str] = (),
) -> list[str]:
    """Checks that sources are the data that a directory has recorded; nothing is written.

    Args:
        directory, sources, way_out: as in `keep_data`.
        replaceable: parts that may be others.

    Returns:
        The replaceable parts that are others than those of the record.

    Raises:
        UserError: another part is; the message says what differs.
    """
    path, others = directory / DATA, []
    if not path.exists():
        return others
    remedy = f"put the data back, or {way_out}"
    there = read_json(path, dict, remedy)
    for name in {**there, **sources}:
        old, new = there.get(name), None
        if name in sources:
            new = dataclasses.asdict(digest_data(sources[name]))
        if old != new and name in replaceable:
            others.append(name)
        elif old != new:
            differing = [
                f"{told} {_value(old, key)} there, {_value(new, key)} here"
                for key, told in _TOLD.items()
                if _value(old, key) != _value(new, key)
            ]
            raise UserError(
                f"{path}: the {name} images are not those of the first start "
                f"({'; '.join(differing)}); {remedy}"
            )
    return others


def _value(digest: object, key: str) -> object:
    value = digest.get(key) if isinstance(digest, dict) else None
    return value[:12] if key in ("sha256", "details") and isinstance(value, str) else value
