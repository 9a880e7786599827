"""Images through the encoder, and their rows into the files of their shard."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.data import decoding
from ssl_tf.data.batches import with_private_threads
from ssl_tf.data.labels import check_labels
from ssl_tf.data.source import Source
from ssl_tf.data.sources.folder import ImageFolder
from ssl_tf.embedding.frozen_encoder import FrozenEncoder
from ssl_tf.embedding.rows import Rows, joined, no_rows, texts
from ssl_tf.embedding.table_files import write_rows
from ssl_tf.errors import UserError
from ssl_tf.evaluation.features import check_finite
from ssl_tf.files import write_json
from ssl_tf.settings import EmbedSettings
from ssl_tf.sharding import shards
from ssl_tf.views.evaluation_crop import evaluation_crop

# A shard's file there lists its unreadable images, and says that all its rows are written.
DONE = "done"
_BATCHES_AHEAD = 2


def done_path(output: Path, number: int) -> Path:
    return shards.shard_path(output / DONE, number, ".json")


def embed_shards(
    numbers: range, source: Source, encoder: FrozenEncoder, settings: EmbedSettings
) -> None:
    """Writes the files of consecutive shards, each as soon as its last image is encoded.

    The images of all of them are read in one pass. An unreadable image has no row. The others keep
    their places in their batches, so that a row depends on nothing but its image and the encoder.

    Args:
        numbers: of the shards.
        source: of the images; counts those that are unreadable.
        encoder: gives the features.
        settings: of the command.

    Raises:
        UserError: a label is outside of the classes, features are not finite or too large for their
            type, too many images are unreadable, or the stored data is damaged.
    """
    output, layout = (
        Path(settings.output),
        no_rows(source, encoder.dimension, settings.feature_dtype),
    )
    first = numbers.start * settings.shard_images
    stop = min(source.size, numbers.stop * settings.shard_images)
    read = _batches(source, encoder.image_size, settings.batch_size, first, stop)
    batches = iter(_embedded(read, source, encoder, settings))
    for number in numbers:
        of_shard = min(settings.shard_images, source.size - number * settings.shard_images)
        parts, unreadable = [layout], []
        for _ in range(-(-of_shard // settings.batch_size)):
            rows, names = next(batches)
            parts.append(rows)
            unreadable += names
        for name in settings.format:
            write_rows(output, name, number, joined(parts))
        # Last, because this file completes the shard.
        write_json(done_path(output, number), {"images": of_shard, "unreadable": unreadable})


def _batches(
    source: Source, image_size: int, batch_size: int, first: int, stop: int
) -> tf.data.Dataset:
    """The examples in order: "image" uint8 [B, S, S, 3], black where unreadable, "readable", ..."""

    def crop(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        example = decoding.decode(example, source.unreadable)
        kept = ("index", "id", "label", "readable")
        others = {key: example[key] for key in kept if key in example}
        return {**others, "image": evaluation_crop(example["image"], image_size)}

    batches = (
        source.sequence(first, stop)
        .map(crop, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(batch_size)
        .prefetch(_BATCHES_AHEAD)
    )
    return with_private_threads(batches)


def _embedded(
    batches: tf.data.Dataset, source: Source, encoder: FrozenEncoder, settings: EmbedSettings
) -> Iterator[tuple[Rows, list[list]]]:
    """Yields the rows of each batch, and [index, id] of each of its unreadable images."""
    with source.reading():
        for batch in batches:
            images = batch.pop("image")
            missing = settings.batch_size - len(images)
            images = tf.pad(images, [[0, missing], [0, 0], [0, 0], [0, 0]])
            features = encoder.encode(images).numpy()
            batch = {name: values.numpy() for name, values in batch.items()}
            batch["features"] = features[: len(batch["index"])]
            yield _rows(batch, source, settings.feature_dtype)


def _rows(batch: dict[str, np.ndarray], source: Source, dtype: str) -> tuple[Rows, list[list]]:
    readable, ids = batch.pop("readable"), texts(batch["id"])
    unreadable = [
        [int(index), str(name)] for index, name in zip(batch["index"][~readable], ids[~readable])
    ]
    kept = {name: values[readable] for name, values in batch.items()}
    check_finite(kept["features"], kept["index"], source)
    if "label" in kept and source.num_classes:
        check_labels(kept["label"], kept["index"], source)
    with np.errstate(over="ignore"):
        stored = kept["features"].astype(dtype)
    if not np.isfinite(stored).all():
        largest = np.abs(kept["features"]).max()
        raise UserError(
            f"--feature_dtype={dtype} ends at {np.finfo(dtype).max:g}, and a feature is "
            f"{largest:g}; give --feature_dtype=float32"
        )
    rows = Rows(
        index=kept["index"],
        id=ids[readable],
        features=stored,
        path=_paths(source, kept["id"]),
        label=kept.get("label") if source.num_classes else None,
    )
    return rows, unreadable


def _paths(source: Source, ids: np.ndarray) -> np.ndarray | None:
    """The files of images; None if the source is no folder."""
    if not isinstance(source, ImageFolder):
        return None
    folder = source.directory.rstrip("/")
    return texts(f"{folder}/".encode("utf-8", "surrogateescape") + name for name in ids)
