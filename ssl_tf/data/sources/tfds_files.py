"""Where a data set that TensorFlow Datasets has prepared lies, and the files of its splits."""

import os
from typing import Any

import tensorflow as tf

from ssl_tf.data.sources.record_files import Shard
from ssl_tf.errors import NoSuchSplit, NotPrepared, SettingsError, UserError

_INFO = "dataset_info.json"


def open_split_files(dataset: str, data_dir: str, split: str) -> tuple[Any, list[Shard]]:
    """TFDS's description of a prepared data set, and the pieces of files that a split has.

    Args:
        dataset, data_dir, split: as in `PreparedDataset`.

    Raises:
        UserError: the data set is not prepared, is damaged, or is in another format.
        NoSuchSplit: the split does not exist.
    """
    import tensorflow_datasets as tfds

    root = data_dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    directory = _find(dataset, os.path.expanduser(root))
    try:
        info = tfds.builder_from_directory(directory).info
    except Exception as error:  # whatever a damaged or newer description makes TFDS raise
        raise UserError(
            f"--dataset={dataset}: TensorFlow Datasets cannot read {directory}: "
            f"{_first_line(error)}"
        ) from None
    if info.file_format != tfds.core.FileFormat.TFRECORD:
        raise UserError(
            f"--dataset={dataset}: {directory} is stored as "
            f"{info.file_format.value}; prepare it with --file_format=tfrecord"
        )
    shards = [
        Shard(
            file.filename,
            file.skip,
            file.take if file.take >= 0 else file.examples_in_shard - file.skip,
        )
        for file in _instructions(dataset, info, split)
    ]
    twice = _read_twice(shards)
    if twice:
        raise SettingsError(
            f"--split={split} of --dataset={dataset} has {twice} examples more than once, which a "
            "hold-out would leave in the training; give parts that do not overlap"
        )
    return info, shards


def _read_twice(shards: list[Shard]) -> int:
    """The number of records that lie in several pieces, counted each time but the first."""
    again, ends = 0, {}
    for shard in sorted(shards, key=lambda shard: shard.skip):
        stop, end = shard.skip + shard.take, ends.get(shard.file, 0)
        again += max(0, min(stop, end) - shard.skip)
        ends[shard.file] = max(stop, end)
    return again


def _find(dataset: str, root: str) -> str:
    """The directory of a prepared data set, by default of its newest version.

    Raises:
        NotPrepared: the data set is not prepared; the message lists the data sets that are.
        UserError: the data set has several configurations, or not this version.
    """

    name, _, version = dataset.partition(":")
    flag = f"--dataset={dataset}"
    prepared = _prepared(root)
    found = [path for path in prepared if path.startswith(f"{name}/")]
    if not found:
        have = (
            "; prepared there: "
            + ", ".join(dict.fromkeys(path.rpartition("/")[0] for path in prepared))
            if prepared
            else ", where no data set is prepared"
            if os.path.isdir(root)
            else ", which does not exist"
        )
        raise NotPrepared(
            f"{flag} is not prepared in {root}{have}; {_way_to_prepare(name, root)}, or correct "
            "--data_dir"
        )
    configs = dict.fromkeys(path.rpartition("/")[0] for path in found)
    if len(configs) > 1:
        raise UserError(f"{flag} has several configurations, name one: {', '.join(configs)}")
    versions = [path.rpartition("/")[2] for path in found]
    if version and version not in versions:
        raise UserError(f"{flag}: prepared in {root} are the versions {', '.join(versions)}")
    newest = version or max(versions, key=lambda text: tuple(map(int, text.split("."))))
    return os.path.join(root, *next(iter(configs)).split("/"), newest)


def _way_to_prepare(name: str, root: str) -> str:
    """What makes a data set: TFDS, if it knows the name; else what made it elsewhere."""
    import tensorflow_datasets as tfds

    known = set(tfds.list_builders(with_community_datasets=False))
    if name.partition("/")[0] in known:
        return (
            f"prepare it in Python with tfds.builder({name!r}, data_dir={root!r})"
            ".download_and_prepare()"
        )
    return (
        "TensorFlow Datasets has none of this name: correct it; a subset of OpenImages is made by "
        f"python -m ssl_tf.openimages --name={name} --output={root} --boxes=CSV --images=DIR"
    )


def _prepared(root: str) -> list[str]:
    """`name[/config]/version` of each data set prepared under a root, sorted."""
    found = []
    for pattern in (("*",) * 2, ("*",) * 3):
        for path in tf.io.gfile.glob(os.path.join(root, *pattern, _INFO)):
            relative = os.path.relpath(os.path.dirname(path), root)
            parts = relative.split(os.sep)
            if all(number.isdigit() for number in parts[-1].split(".")):
                found.append("/".join(parts))
    return sorted(found)


def _instructions(dataset: str, info, split: str) -> list:
    """TFDS's file instructions of a split.

    Raises:
        NoSuchSplit: the split is misspelt, does not exist, or is empty.
    """
    try:
        instructions = [file for file in info.splits[split].file_instructions if file.take != 0]
    except (KeyError, ValueError) as error:
        raise NoSuchSplit(
            f"--split={split}: {_first_line(error)} --dataset={dataset} has "
            f"the splits {', '.join(info.splits)}"
        ) from None
    if not instructions:
        raise NoSuchSplit(f"--split={split} of --dataset={dataset} is empty")
    return instructions


def _first_line(error: Exception) -> str:
    text = str(error.args[0] if error.args else error).strip()
    return text.splitlines()[0] if text else type(error).__name__
