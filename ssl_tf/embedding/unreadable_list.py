"""The list of the images that cannot be decoded and have no row."""

import csv
import io
from pathlib import Path

from ssl_tf.embedding.encoding import done_path
from ssl_tf.files import read_json, write_text

UNREADABLE = "unreadable.csv"


def read_unreadable(output: Path, shard_count: int) -> list[tuple[int, str]]:
    """Index and id of each unreadable image of all shards, in the order of the source."""
    found = []
    for number in range(shard_count):
        path = done_path(output, number)
        done = read_json(path, dict, "remove it, its shard is recomputed")
        found += [(int(index), str(name)) for index, name in done["unreadable"]]
    return found


def write_unreadable(output: Path, unreadable: list[tuple[int, str]]) -> None:
    """Writes `unreadable.csv`, with a line of names only if all images are readable."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["index", "id"])
    writer.writerows(unreadable)
    write_text(output / UNREADABLE, text.getvalue())
