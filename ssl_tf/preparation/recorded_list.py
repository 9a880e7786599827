"""The list of files as the first start of a preparation recorded it, cut into units."""

import itertools
from pathlib import Path

import numpy as np

from ssl_tf.errors import SettingsError, UserError, warn
from ssl_tf.files import remove
from ssl_tf.preparation import work_files
from ssl_tf.preparation.file_list import FileList
from ssl_tf.preparation.record_writing import remove_record_files
from ssl_tf.settings import PrepareSettings

_BEGUN = "begun.json"
_MOST_IN_A_UNIT, _LEAST_IN_A_UNIT, _UNITS = 256, 8, 64


def recorded(settings: PrepareSettings, work: Path, files: FileList) -> tuple[FileList, np.ndarray]:
    """Records the list of files in units, or reads what the first start recorded.

    So a folder that changes meanwhile gives the files of the first start; this says so. Where no
    list is recorded, what may lie there is of another one, and removed.

    Args:
        settings: of the preparation.
        work: directory of the work under way.
        files: those of now.

    Returns:
        The files of the first start, and the number of images of each unit.

    Raises:
        SettingsError: the first start had other files.
        UserError: what it recorded is damaged, or cannot be removed.
    """
    if not (work / _BEGUN).exists():
        remove(work)
        if work.exists():
            raise UserError(f"{work} cannot be removed; remove it")
        remove_record_files(Path(settings.output))
        for kind in (work_files.LISTING, work_files.PIXELS, work_files.FACTS):
            (work / kind).mkdir(parents=True)
        size = min(max(len(files.paths) // _UNITS, _LEAST_IN_A_UNIT), _MOST_IN_A_UNIT)
        lengths = [len(files.paths[n : n + size]) for n in range(0, len(files.paths), size)]
        _record(work, files, lengths)
        return files, np.array(lengths)
    begun = work_files.read(work / _BEGUN, dict)
    units = [
        work_files.read(work_files.path_of(work, work_files.LISTING, unit), list)
        for unit in range(begun["units"])
    ]
    lengths, rows = [len(unit) for unit in units], [row for unit in units for row in unit]
    paths, sizes = map(list, zip(*rows))
    before = FileList(begun["root"], paths, sizes, begun["classes"])
    if before.root != files.root:
        raise SettingsError(
            f"--output={settings.output} was begun with the files in {before.root}, "
            f"--input={settings.input} has those in {files.root}; give the former, or a new "
            "directory"
        )
    _tell_changes(before, files)
    return before, np.array(lengths)


def _record(work: Path, files: FileList, lengths: list[int]) -> None:
    """Writes the list of files, in units of these numbers of images."""
    rows = iter(zip(files.paths, files.sizes))
    for unit, length in enumerate(lengths):
        path = work_files.path_of(work, work_files.LISTING, unit)
        work_files.write(path, list(itertools.islice(rows, length)))
    # Last: it means that the list is whole.
    begun = {"root": files.root, "classes": files.classes, "units": len(lengths)}
    work_files.write(work / _BEGUN, begun)


def _tell_changes(before: FileList, files: FileList) -> None:
    """Warns of files that came, went or were replaced since the first start."""
    then, now = (dict(zip(listed.paths, listed.sizes)) for listed in (before, files))
    replaced = sum(then[path] != now[path] for path in then.keys() & now.keys())
    if then.keys() != now.keys() or replaced:
        warn(
            f"since this was begun, {len(now.keys() - then.keys())} files came, "
            f"{len(then.keys() - now.keys())} went and {replaced} were replaced; it goes on with "
            "those of the beginning"
        )
