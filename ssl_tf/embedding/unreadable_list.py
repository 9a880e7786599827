"""The list of the images that cannot be decoded and have no row."""

from pathlib import Path

from ssl_tf.embedding.encoding import done_path
from ssl_tf.errors import UserError
from ssl_tf.files import read_json, write_csv

UNREADABLE = "unreadable.csv"
_REMEDY = "remove it, its shard is recomputed"


def read_unreadable(output: Path, shard_count: int) -> list[tuple[int, str]]:
    """Index and id of each unreadable image of all shards, in the order of the source.

    Raises:
        UserError: the note of a shard is damaged.
    """
    found = []
    for number in range(shard_count):
        path = done_path(output, number)
        done = read_json(path, dict, _REMEDY)
        try:
            found += [(int(index), str(name)) for index, name in done["unreadable"]]
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{path} has no list of unreadable images; {_REMEDY}") from None
    return found


def write_unreadable(output: Path, unreadable: list[tuple[int, str]]) -> None:
    """Writes `unreadable.csv`, with a line of names only if all images are readable."""
    write_csv(output / UNREADABLE, ["index", "id"], unreadable)
