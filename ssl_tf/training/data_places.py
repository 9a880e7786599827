"""Where the data of a directory lie. They may move; its flags then name the new place."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from ssl_tf.settings import DataSettings, flagfiles
from ssl_tf.settings.flagfile_lines import FLAGS

# The record of the data, by which `data_record` tells them from others.
DATA = "data.json"


def movable(directory: Path, before: Any, now: Any) -> frozenset[str]:
    """The flags of places by which two starts in a directory may differ.

    There are none without a record that tells the data from others.

    Args:
        directory: with the record.
        before, now: settings of both starts; of others than `DataSettings` no data may move.
    """
    old, new = getattr(before, "data", None), getattr(now, "data", None)
    if not (isinstance(old, DataSettings) and isinstance(new, DataSettings)):
        return frozenset()
    is_told = old.named == new.named and _tells_from_others(directory / DATA)
    return frozenset(flagfiles.places(old)) if is_told else frozenset()


def note_places(directory: Path, settings: Any) -> None:
    """Writes into the flags of a directory where its data lie now, if they have moved.

    Args:
        directory: with its flags.
        settings: of this start, whose data were found to be those of the directory.
    """
    path = directory / FLAGS
    before = flagfiles.read_flagfile(path, type(settings))
    places = flagfiles.places(settings.data)
    if flagfiles.places(before.data) == places:
        return
    data = dataclasses.replace(before.data, **places)
    comments = [x[2:] for x in path.read_text().splitlines() if x.startswith("# ")]
    flagfiles.write_flagfile(dataclasses.replace(before, data=data), path, comments)
    named = ", ".join(places.values())
    print(
        f"{directory}: its images are now in {named}, which has the same names and sizes",
        file=sys.stderr,
    )


def _tells_from_others(record: Path) -> bool:
    """Whether a record tells more than names; those of earlier versions did not."""
    try:
        parts = json.loads(record.read_text())
    except (OSError, ValueError):
        return False
    return bool(parts) and all("details" in part for part in parts.values())
