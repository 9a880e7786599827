"""The preparation of images: its stages in their order, from files to record files."""

import functools
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ssl_tf.cores import available_cores
from ssl_tf.data.prepared_manifest import IMAGES, MANIFEST, TRAIN, VALIDATION, Manifest
from ssl_tf.errors import UserError, listed, printable, warn
from ssl_tf.files import prepare_output, remove, remove_unfinished
from ssl_tf.locks import exclusive
from ssl_tf.preparation.choosing import SPLITS, choose
from ssl_tf.preparation.collection_report import PAGE, write_report
from ssl_tf.preparation.facts_table import FactsTable, read_facts, read_table
from ssl_tf.preparation.file_list import FileList, collect
from ssl_tf.preparation.image_units import image_work
from ssl_tf.preparation.record_writing import begin_plans, described, plan_files, record_work
from ssl_tf.preparation.recorded_list import recorded
from ssl_tf.preparation.work_files import FACTS, WORK, path_of
from ssl_tf.settings import PrepareSettings
from ssl_tf.sharding.running import Work, run_shards
from ssl_tf.training.output_directory import check_output, open_output

_KIND = "preparation"
# Images for which one more process is worth its start, in which it imports what the stage needs.
_IMAGES_A_READER, _IMAGES_A_WRITER = 500, 20_000


def prepare(settings: PrepareSettings) -> Path:
    """Runs all stages that are not complete.

    Returns:
        The page of the report.

    Raises:
        UserError: there is no readable image, or the output directory cannot be written, belongs
            to other flags, or is in use by another process.
    """
    output = Path(settings.output)
    check_output(settings, _KIND)
    files = collect(settings.input, settings.output)
    prepare_output(output, is_directory=True)
    with exclusive(output):
        remove_unfinished(output)
        # Workers write two levels below the output.
        remove_unfinished(output / WORK)
        if (output / MANIFEST).exists():
            _check_unchanged(Manifest.read(output), files, settings)
            _log(f"{output} is complete")
        else:
            _prepare(settings, files)
        remove(output / WORK)
    return output / PAGE


def _prepare(settings: PrepareSettings, files: FileList) -> None:
    output, work = Path(settings.output), Path(settings.output) / WORK
    open_output(settings, _KIND, "prepare")
    files, sizes = recorded(settings, work, files)
    _log(f"{settings.input}: {len(files.paths)} files, {len(files.classes)} classes")
    read_images = functools.partial(image_work, settings, files.root)
    units = [path_of(work, FACTS, unit) for unit in range(len(sizes))]
    _run(settings, "images", read_images, units, sizes, _IMAGES_A_READER)
    labelled = bool(files.classes)
    table = read_table(work, len(sizes), len(files.paths), files.classes)
    _check_readable(work, len(sizes), table, settings)
    choice = choose(table, settings)
    splits = {split: choice.rows(split) for split in SPLITS}
    plans = plan_files(splits, table, settings.shard_mib, settings.seed)
    begin_plans(work, output, plans, table)
    write_records = functools.partial(record_work, output, labelled, settings.encoding == "raw")
    paths = [output / plan.name for plan in plans]
    records = np.array([plan.rows.size for plan in plans])
    _run(settings, "records", write_records, paths, records, _IMAGES_A_WRITER)
    figures = write_report(settings, len(sizes), table, choice, labelled)
    _tell(figures, f"#{settings.background}")
    Manifest(
        encoding=settings.encoding,
        short_side=settings.short_side,
        class_names=tuple(files.classes),
        splits=described(plans, output),
        listing=files.listing(),
        root=files.root,
    ).write(output)


def _run(
    settings: PrepareSettings,
    stage: str,
    work: Callable[[], Work],
    paths: list[Path],
    sizes: np.ndarray,
    images_a_process: int,
) -> None:
    """Runs a stage whose shards are these files, of these numbers of images."""
    sensible = min(len(available_cores()), 1 + int(sizes.sum()) // images_a_process)
    run_shards(
        stage,
        work,
        paths,
        sizes,
        "images",
        log=Path(settings.output) / WORK / "workers.log",
        workers=settings.workers or sensible,
        beam_options=settings.beam_options,
    )


def _check_unchanged(manifest: Manifest, files: FileList, settings: PrepareSettings) -> None:
    """Refuses to call a result complete if there are other files now, or its own are not whole.

    Raises:
        UserError: there are other files, or one of its own is gone or cut.
    """
    for file in itertools.chain.from_iterable(manifest.splits.values()):
        file.check(Path(settings.output))
    if manifest.root != files.root:
        raise UserError(
            f"--output={settings.output} is complete, with the files in {manifest.root}; "
            f"--input={settings.input} has those in {files.root}; give a new directory to prepare "
            "them"
        )
    if manifest.listing != files.listing():
        raise UserError(
            f"--output={settings.output} is complete, with {manifest.listing['count']} files; "
            f"--input={settings.input} has other ones now ({len(files.paths)}); give a new "
            "directory to prepare them"
        )


def _check_readable(work: Path, units: int, table: FactsTable, settings: PrepareSettings) -> None:
    """Raises UserError if no image can be read; the next start then reads all again."""
    if table.readable.any():
        return
    _, first = next(read_facts(work, units))
    remove(work)
    raise UserError(
        f"--input={settings.input}: none of {len(table.ids)} images can be prepared; the first is "
        f"{printable(first['id'])}: {first['status']}, {first['reason']}"
    )


def _tell(figures: dict, background: str) -> None:
    """Prints what became of the images, and what others see otherwise."""
    status, split = figures["status"], figures["split"]
    left_out = ", ".join(f"{count} {name}" for name, count in status.items() if name != "kept")
    _log(
        f"{status['kept']} images kept ({split.get('train', 0)} train, "
        f"{split.get('validation', 0)} validation); left out: {left_out or 'none'}"
    )
    empty = [name for name, of in figures["classes"].items() if not (of[TRAIN] or of[VALIDATION])]
    if empty:
        names = listed([printable(name) for name in empty])
        warn(f"{len(empty)} classes have no image that is kept: {names}")
    contradicted = figures["alike in several classes"]
    if contradicted:
        warn(
            f"{contradicted} images look like one of another class ({IMAGES}: class, same_as, "
            "looks_like); of equal files that --duplicates drops the class of the first is taken"
        )
    special = figures.get("special", {})
    for count, told in (
        (special.get("transparent"), f"transparency, which is {background} here"),
        (special.get("profile"), "a colour profile, by which they are made sRGB here"),
    ):
        if count:
            warn(
                f"{count} images have {told}; --image_folder, and `encoded` of an export, take the "
                "colours as the file stores them: give an encoder of these images prepared ones"
            )


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
