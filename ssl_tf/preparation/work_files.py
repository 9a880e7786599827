"""The files of a preparation that is under way: of each unit of images, and of each record file.

A unit is a run of images in the order of their paths. `listing/` names its images, with the sizes
of their files. `pixels/` has their encodings, one after another, and `facts/` what is known of
them; a unit is done when the latter exists. `plans/` says which images go into a record file.
"""

import json
from pathlib import Path
from typing import Any

from ssl_tf.files import read_json, replacing

WORK = "work"
LISTING, PIXELS, FACTS, PLANS = "listing", "pixels", "facts", "plans"
# Of these the stages make what is missing. All the rest belongs to one list of files.
_MADE_AGAIN = (FACTS, PLANS)


def path_of(work: Path, kind: str, number: int) -> Path:
    """The file of a unit or of a record file.

    Args:
        work: directory of the work under way.
        kind: `LISTING`, `PIXELS`, `FACTS` or `PLANS`.
        number: of the unit or of the record file.
    """
    return work / kind / f"{number:06d}.{'bin' if kind == PIXELS else 'json'}"


def write(path: Path, value: Any) -> None:
    """Writes a value as JSON; several processes may write the same file."""
    with replacing(path, shared=True) as temporary:
        temporary.write_text(json.dumps(value, separators=(",", ":")), encoding="ascii")


def read(path: Path, kind: type) -> Any:
    """The value that `write` wrote.

    Args:
        path: of the file.
        kind: of the value, dict or list.

    Raises:
        UserError: the file is damaged or gone.
    """
    work = next(parent for parent in path.parents if parent.name == WORK)
    wrong = path if path.parent.name in _MADE_AGAIN else work
    return read_json(path, kind, f"remove {wrong}, and start the same command again")
