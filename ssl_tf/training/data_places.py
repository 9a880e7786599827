"""Where the data of a directory lie. They may move; its flags then name the new place."""

import dataclasses
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ssl_tf.settings import fields, flagfiles
from ssl_tf.settings.flagfile_lines import FLAGS

# The record of the data, by which `data_record` tells them from others.
DATA = "data.json"
# Of the images in the record of a run.
TRAINING, HELD_OUT = "training", "held-out"


def movable(records: Collection[Path], before: Any, now: Any) -> frozenset[str]:
    """The flags of places by which two starts on the same data may differ.

    There are none without records that tell the data from others.

    Args:
        records: of the data; those that are not there tell nothing.
        before, now: settings of both starts.
    """
    old, new = fields.places(before), fields.places(now)
    is_told = bool(records) and all(path.is_file() for path in records)
    return frozenset(old if is_told and old.keys() == new.keys() else ())


def note_places(directory: Path, settings: Any) -> None:
    """Writes into the flags of a directory where its data lie now, if they have moved.

    Args:
        directory: with its flags.
        settings: of this start, whose data were found to be those of the directory.
    """
    path = directory / FLAGS
    before = flagfiles.read_flagfile(path, type(settings))
    places = fields.places(settings.data)
    if fields.places(before.data) == places:
        return
    moved = {name: getattr(settings.data, name) for name in places}
    data = dataclasses.replace(before.data, **moved)
    comments = [x[2:] for x in path.read_text().splitlines() if x.startswith("# ")]
    flagfiles.write_flagfile(dataclasses.replace(before, data=data), path, comments)
    named = ", ".join(places.values())
    print(
        f"{directory}: its images are now in {named}, which has the same names and sizes",
        file=sys.stderr,
    )
