"""Sets of numbered files, such as train-00002-of-00005: which of them are empty or absent."""

import itertools
import os
import re

from ssl_tf.errors import listed, warn

# What precedes the number, the number, how many files the set has, and what follows.
_NUMBERED = re.compile(r"(.*)-(\d+)-of-(\d+)([^/]*)", re.DOTALL)


def warn_of_missing(glob: str, filled: list[str], files: list[str]) -> None:
    """Says on stderr which files of a set are empty or absent, as after a copy that was cut.

    Args:
        glob: the files.
        filled: those with a record.
        files: all that there are.
    """
    empty = sorted({*files} - {*filled})
    if empty:
        warn(
            f"--tfrecord={glob}: {len(empty)} of {len(files)} files hold no record, such "
            f"as {empty[0]}; copy them again if they should"
        )
    absent = absent_files(files)
    if absent:
        warn(
            f"--tfrecord={glob}: not among these files are {listed(absent)}; get them if "
            "they are to be read"
        )


def absent_files(files: list[str]) -> list[str]:
    """How many numbers each set of numbered files lacks, in words, and the first of them.

    Sets that lack none are left out, and so are all if a file has no number.
    """
    sets: dict[tuple[str, str, str], set[int]] = {}
    for file in files:
        found = _NUMBERED.fullmatch(file)
        if not found:
            return []
        before, number, total, after = found.groups()
        sets.setdefault((before, total, after), set()).add(int(number))
    told = []
    for (before, total, after), numbers in sets.items():
        lacking = int(total) - len(numbers)
        # Some programs count from 1.
        first = 0 if 0 in numbers or int(total) not in numbers else 1
        if lacking > 0:
            number = next(n for n in itertools.count(first) if n not in numbers)
            name = f"{os.path.basename(before)}-{number:0{len(total)}}-of-{total}{after}"
            told.append(f"{lacking} of {int(total)} such as {name}")
    return told
