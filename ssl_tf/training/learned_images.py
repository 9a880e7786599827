"""Test images that a run has learned from, so that a figure of them says less."""

import contextlib
import dataclasses
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from ssl_tf.data.source import Source
from ssl_tf.data.sources.opening import open_training_source
from ssl_tf.errors import SettingsError, UserError, warn
from ssl_tf.settings import DataSettings, PretrainSettings
from ssl_tf.training.data_places import TRAINING
from ssl_tf.training.data_record import is_recorded
from ssl_tf.training.report_entries import LEARNED_FROM
from ssl_tf.training.run_directory import FLAGS, read_settings, run_of

# What names images, and which of them are held out.
_IMAGES = (
    "dataset",
    "data_dir",
    "split",
    "image_folder",
    "prepared",
    "tfrecord",
    "scenes",
    "scene_size",
    "scene_objects",
    "scene_ground",
    "holdout",
    "holdout_rule",
)
_UNKNOWN = "an unknown number"


def entry_of_learned(
    runs: Iterable[str],
    test: Source,
    data: DataSettings | None = None,
    train: Source | None = None,
) -> dict[str, int | str]:
    """The entry of a report on test images that runs have learned from; empty if they have not.

    Args:
        runs: their directories; empty text stands for none. Of one that is not there any more,
            whose encoder may be kept, nothing is known, which is told on stderr.
        test, data, train: as in `check_learned_images`.

    Raises:
        SettingsError: there are some, and a run has learned their labels.
    """
    found: int | str = 0
    for run in map(Path, filter(None, runs)):
        if (run / FLAGS).is_file():
            found = check_learned_images(run, read_settings(run), test, data, train) or found
        else:
            warn(f"{run} is not here: whether it has learned from {test.name} is not known")
    return {LEARNED_FROM: found} if found else {}


def check_learned_images(
    run: Path,
    trained: PretrainSettings,
    test: Source,
    data: DataSettings | None = None,
    train: Source | None = None,
) -> int | str:
    """Tells on stderr how many test images the run, and those it began from, have learned from.

    The images that evaluations learn from were compared before, so nothing is opened where the run
    had the same.

    Args:
        run: directory of the run.
        trained: settings of the run.
        test: the images to report on.
        data, train: the images that the evaluation learns from; None: they are of other sets.

    Returns:
        Their number, or words where it cannot be told; 0 where the images of the run are not here
        any more, which is told, too.

    Raises:
        SettingsError: there are some, and a run has learned their labels.
    """
    found: int | str = 0
    for directory, settings in _line(run, trained):
        found = found or _learned(directory, settings, test, data, train)
    return found


def _line(run: Path, trained: PretrainSettings) -> Iterator[tuple[Path, PretrainSettings]]:
    """The run, and the runs whose weights it began from (--init_from), the newest first."""
    seen = {run.resolve()}
    yield run, trained
    while trained.run.init_from:
        start = Path(trained.run.init_from)
        before = run_of(start)
        if before is None:
            warn(
                f"{run} began from {start}, which is not here: whether that has learned from the "
                "test images is not known"
            )
        if before is None or before.resolve() in seen:
            return
        seen.add(before.resolve())
        run, trained = before, read_settings(before)
        yield run, trained


def _learned(
    run: Path,
    trained: PretrainSettings,
    test: Source,
    data: DataSettings | None,
    train: Source | None,
) -> int | str:
    """As `check_learned_images`, of one run."""
    learned = trained.data
    if data is not None and train is not None and _images(learned) == _images(data):
        # Other images by the same flags, of which others are held out.
        count = _UNKNOWN if learned.holdout and not is_recorded(run, TRAINING, train) else 0
    else:
        count = _common(run, learned, test, data)
    if not count:
        return 0
    told = f"{run} has learned from {count} of the {test.size} images of {test.name}"
    way_out = "another split or folder"
    if learned.holdout and data is not None:
        way_out = f"--holdout={learned.holdout}"
    if count == _UNKNOWN:
        told += ", because its data has changed since then, and with it what --holdout takes"
        way_out = "another folder or data set"
    if trained.model.method == "supervised":
        raise SettingsError(
            f"{told}, with their labels; report on images that it has not seen, by {way_out}"
        )
    warn(
        f"{told}, without their labels; the report tells that, and {way_out} gives images "
        "that it has not seen"
    )
    return count


def _common(run: Path, learned: DataSettings, test: Source, data: DataSettings | None) -> int:
    """The number of images that a run has learned from; of parts of prepared ones, at most."""
    # Files are those of a folder, or of prepared images; to open others may take minutes.
    if test.are_files and not (learned.image_folder or learned.prepared):
        return 0
    files = test.files()
    if learned.image_folder and not files:
        return 0
    try:
        # What is to be told of the images of a run, the run has told.
        with contextlib.redirect_stderr(io.StringIO()):
            source, _ = open_training_source(
                dataclasses.replace(learned, num_images=0, num_classes=0)
            )
    except UserError as error:
        alike = test.are_files or test.name.startswith(f"{learned.dataset}:")
        if alike if data is None else learned.dataset == data.dataset:
            warn(
                f"the images of {run} cannot be opened here, so that it is not known whether it "
                f"has learned from those of {test.name} ({error})"
            )
        return 0
    return source.common_images(test) or min(len(files & source.files()), test.size)


def _images(data: DataSettings) -> list[object]:
    return [getattr(data, name) for name in _IMAGES]
