"""The files from which images were prepared."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from ssl_tf.data.prepared_manifest import IMAGES, Manifest


def original_files(prepared: Path, split: str) -> set[bytes]:
    """The paths of the files of a split, and of those that were left out for being alike.

    Args:
        prepared: the output of `prepare`.
        split: "train" or "validation".

    Returns:
        Paths as `ImageFolder.files` has them; none where the list of images is gone.
    """
    root, listed = Manifest.read(prepared).root, prepared / IMAGES
    if not listed.is_file():
        return set()
    kept = {row["id"] for row in _rows(listed) if row["split"] == split}
    alike = {
        row["id"]
        for row in _rows(listed)
        if not row["split"] and not kept.isdisjoint((row["same_as"], row["looks_like"]))
    }
    return {os.fsencode(os.path.join(root, name)) for name in kept | alike}


def _rows(listed: Path) -> Iterator[dict[str, str]]:
    with listed.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        yield from csv.DictReader(file)
