"""An embedding: from images to a table of features, and from the table to a report."""

import dataclasses
import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ssl_tf.data.labels import labels_are_hidden
from ssl_tf.data.source import Source
from ssl_tf.data.sources.opening import open_training_source
from ssl_tf.data.sources.source_checks import check_guesses, warn_of_turns
from ssl_tf.embedding.encoding import DONE, done_path, embed_shards
from ssl_tf.embedding.frozen_encoder import FrozenEncoder, open_encoder
from ssl_tf.embedding.overview import write_overview
from ssl_tf.embedding.rows import Rows, no_rows, texts
from ssl_tf.embedding.table_files import read_rows, rows_path, stored_format, write_rows
from ssl_tf.embedding.unreadable_list import read_unreadable, write_unreadable
from ssl_tf.errors import UserError, listed, warn
from ssl_tf.files import remove_unfinished, write_json
from ssl_tf.locks import exclusive
from ssl_tf.settings import TABLE_FORMATS, EmbedSettings
from ssl_tf.sharding.progress import Progress
from ssl_tf.sharding.running import Work, run_shards
from ssl_tf.training.begun_output import NEW_OUTPUT, open_begun
from ssl_tf.training.data_places import note_places
from ssl_tf.training.data_record import keep_data
from ssl_tf.training.devices import warn_of_idle_gpus
from ssl_tf.training.encoder_record import (
    first_step,
    keep_encoder,
    place_of,
    recorded_encoder,
)
from ssl_tf.training.encoders import known_images, with_step
from ssl_tf.training.output_directory import check_output, open_output

MANIFEST = "embeddings.json"
_KIND = "embedding"
_STAGE = "features"
# Of the images in the record of the data.
_PART = "embedded"
_LISTED = 3


def embed(settings: EmbedSettings) -> Path:
    """Writes all that is missing of the table, and the report.

    Returns:
        The page of the report; the manifest if there is no report.

    Raises:
        UserError: there is no image or no readable one, too many are unreadable, the encoder gives
            no features, or the output directory cannot be written, is in use by another process, or
            belongs to other settings, other data or another encoder.
    """
    output = Path(settings.output)
    warn_of_idle_gpus()
    begun = check_output(settings, _KIND)
    with exclusive(output):
        source = _open_source(settings)
        check_guesses(source, judged=False, begun=begun)
        given = settings.encoder or settings.init.init_encoder
        warn_of_turns(source, known_images(given).orient)
        sizes = np.diff(np.append(np.arange(0, source.size, settings.shard_images), source.size))
        settings, encoder = _open_encoder(settings, given, len(sizes))
        open_output(settings, _KIND, "embed")
        keep_data(output, {_PART: source}, NEW_OUTPUT)
        note_places(output, settings)
        keep_encoder(output, {**encoder.facts, "step": settings.step, "given": place_of(given)})
        settings = dataclasses.replace(settings, format=_begin_formats(settings))
        # A reader of the whole folder would take them for shards.
        remove_unfinished(output)
        layout = no_rows(source, encoder.dimension, settings.feature_dtype)
        print(
            f"{source.name}: {source.size} images in {len(sizes)} shards, {encoder.dimension} "
            f"features by {encoder.origin}",
            file=sys.stderr,
        )
        _encode(settings, source, encoder, sizes)
        _add_formats(settings, len(sizes), layout)
        unreadable = read_unreadable(output, len(sizes))
        _check_unreadable(unreadable, source)
        write_unreadable(output, unreadable)
        facts = _facts(settings, source, encoder, len(sizes), len(unreadable))
        write_json(output / MANIFEST, facts)
        if not settings.report_images:
            return output / MANIFEST
        return write_overview(settings, source, layout, facts, unreadable)


def _open_source(settings: EmbedSettings) -> Source:
    source, _ = open_training_source(settings.data)
    source.unreadable.consequence = "it gets no features"
    if not source.multi_label and labels_are_hidden(source):
        print(f"{source.name}: its labels are not public, the table has none", file=sys.stderr)
        source.num_classes, source.class_names = None, ()
    return source


def _open_encoder(
    settings: EmbedSettings, given: str, shard_count: int
) -> tuple[EmbedSettings, FrozenEncoder]:
    """The encoder of the first start, and the settings with the step of its checkpoint.

    A run that goes on may have forgotten it. Then its record suffices where all shards are done.

    Args:
        settings: of the command.
        given: the run, export or file.
        shard_count: shards of the table.

    Raises:
        UserError: there is no such encoder, and features are missing.
    """
    output = Path(settings.output)
    record = recorded_encoder(output)
    step = settings.step or first_step(output, given)
    try:
        settings = with_step(dataclasses.replace(settings, step=step))
        return settings, open_encoder(settings)
    except UserError as error:
        shards = [done_path(output, n).exists() for n in range(shard_count)]
        stored = [stored_format(output, n) is not None for n in range(shard_count)]
        is_first = (record.get("given"), record.get("step")) == (place_of(given), step)
        if not (is_first and all(shards) and all(stored)):
            raise
        print(f"{error}; all features are there", file=sys.stderr)
        facts = {field.name: record[field.name] for field in dataclasses.fields(FrozenEncoder)[1:]}
        return dataclasses.replace(settings, step=step), FrozenEncoder(encode=None, **facts)


def _begin_formats(settings: EmbedSettings) -> tuple[str, ...]:
    """The formats that are asked for, and those that an earlier start was asked for.

    A folder says that its format was asked for, even if a kill came before its first file.
    """
    output = Path(settings.output)
    for name in settings.format:
        (output / name).mkdir(exist_ok=True)
    return tuple(name for name in TABLE_FORMATS if (output / name).is_dir())


def _encode(
    settings: EmbedSettings, source: Source, encoder: FrozenEncoder, sizes: np.ndarray
) -> None:
    """Writes the files of all shards that are not done."""
    output = Path(settings.output)
    (output / DONE).mkdir(exist_ok=True)
    paths = [done_path(output, number) for number in range(len(sizes))]
    for number, path in enumerate(paths):
        if stored_format(output, number) is None:
            path.unlink(missing_ok=True)
    if settings.beam_options or settings.workers > 1:
        run_shards(
            _STAGE,
            functools.partial(_prepare, settings),
            paths,
            sizes,
            "images",
            log=output / "workers.log",
            workers=settings.workers,
            beam_options=settings.beam_options,
        )
        return
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    if not missing:
        print(f"{_STAGE}: all {source.size} images are there", file=sys.stderr)
        return
    with Progress(_STAGE, paths, sizes, "images"):
        for numbers in _stretches(missing):
            embed_shards(numbers, source, encoder, settings)


def _prepare(settings: EmbedSettings) -> Work:
    """Opens the images and the encoder in a worker.

    Raises:
        UserError: they are not those that the embedding began with.
    """
    source, encoder = open_begun(
        Path(settings.output),
        _PART,
        functools.partial(_open_source, settings),
        functools.partial(open_encoder, settings),
        ("sha256", "origin", "image_size"),
    )
    return lambda number: embed_shards(range(number, number + 1), source, encoder, settings)


def _stretches(numbers: list[int]) -> Iterator[range]:
    """The ascending numbers in as few ranges as there can be."""
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] > numbers[place - 1] + 1:
            yield range(numbers[start], numbers[place - 1] + 1)
            start = place


def _add_formats(settings: EmbedSettings, shard_count: int, layout: Rows) -> None:
    """Writes what is missing in a format from a format that is there."""
    output = Path(settings.output)
    for number in range(shard_count):
        missing = [n for n in settings.format if not rows_path(output, n, number).exists()]
        if missing:
            rows = read_rows(output, number, layout)
            for name in missing:
                write_rows(output, name, number, rows)


def _check_unreadable(unreadable: list[tuple[int, str]], source: Source) -> None:
    """Names the unreadable images of all shards.

    Raises:
        UserError: more images are unreadable than allowed, or all are.
    """
    if not unreadable:
        return
    names = listed([name for _, name in unreadable], _LISTED)
    if len(unreadable) == source.size:
        raise UserError(f"no image of {source.name} can be decoded: {names}")
    told = f"{len(unreadable)} unreadable images have no row: {names}"
    if len(unreadable) > source.unreadable.limit:
        raise UserError(f"{told}; mend them and give a new --output, or raise --max_bad_images")
    warn(told)


def _facts(
    settings: EmbedSettings,
    source: Source,
    encoder: FrozenEncoder,
    shard_count: int,
    unreadable: int,
) -> dict[str, Any]:
    """What a reader of the table has to know."""
    return {
        "source": source.name,
        "images": source.size,
        "rows": source.size - unreadable,
        "unreadable": unreadable,
        "encoder": encoder.origin,
        "encoder_sha256": encoder.sha256,
        "image_size": encoder.image_size,
        "features": encoder.dimension,
        "dtype": settings.feature_dtype,
        "formats": list(settings.format),
        "shards": shard_count,
        "shard_images": settings.shard_images,
        "classes": texts(map(os.fsencode, source.class_names)).tolist(),
    }
