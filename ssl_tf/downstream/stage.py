"""A command that trains on annotated images: one network for each encoder, and one report."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ssl_tf.data.annotations.annotated_source import AnnotatedSource
from ssl_tf.data.annotations.open_annotated import labelled_share, open_annotated
from ssl_tf.downstream.downstream_plan import describe
from ssl_tf.downstream.downstream_training import Task, Trained, train_downstream
from ssl_tf.downstream.starting_encoders import StartingEncoder, keep, open_starting_encoders
from ssl_tf.errors import SettingsError
from ssl_tf.files import write_json
from ssl_tf.settings import fields
from ssl_tf.settings.downstream import AnnotatedTrainingSettings
from ssl_tf.settings.protocol import protocol
from ssl_tf.training.data_places import note_places
from ssl_tf.training.data_record import annotations_of, contents_of
from ssl_tf.training.learned_images import entry_of_learned
from ssl_tf.training.output_directory import check_output, open_output
from ssl_tf.training.report_entries import UNREADABLE
from ssl_tf.training.run_directory import check_owner
from ssl_tf.training.strategy import make_strategy

Rows = dict[str, dict[str, Any]]


def run_stage(
    settings: AnnotatedTrainingSettings,
    command: str,
    annotations: str,
    make_task: Callable[[AnnotatedSource, AnnotatedSource], Task],
    check_part: Callable[[int], None] = lambda images: None,
) -> tuple[Task, Rows] | None:
    """Trains one network for each encoder, by equal steps, and writes one report.

    Args:
        settings: of the command.
        command: its name, such as "segment".
        annotations: what is read of the images, as in `open_annotated`.
        make_task: makes the task of the images to learn from and to report on.
        check_part: refuses batch statistics over too few images at a time.

    Returns:
        The task, and name of the encoder -> its figures, loss, origin and digest; None with
        --dry_run, which prints the plan.

    Raises:
        UserError: an error that the user can correct, in one line.
        Stopped: a signal asked to stop; the state is saved.
    """
    training, output = settings.training, Path(settings.output)
    # First, because a CPU can be split only before any operation runs on it.
    strategy = make_strategy(training.logical_cpus, training.batch_size, training.accumulate)
    sharing = strategy.num_replicas_in_sync if training.batch_norm == "replica" else 1
    check_part(training.batch_size // (training.accumulate * sharing))
    # They move no weight, so that they alone repeat the test.
    replaceable = [name for name in fields.result_flags(settings) if name.startswith("test_")]
    check_owner(output, [output.parent], settings.start.checkpoint)
    check_output(settings, settings.result, replaceable)
    kept = output / "encoders"
    starts = open_starting_encoders(settings.start, training.seed, kept)
    whole, test = open_annotated(settings.data, annotations)
    runs = (settings.start.checkpoint, settings.start.supervised)
    learned_from = entry_of_learned(runs, test)
    if not training.dry_run:
        open_output(settings, settings.result, command, replaceable)
        # A training whose file is gone may have begun with another encoder than the run has now.
        keep([start for start in starts if not (output / start.name).exists()], kept)
    labels = None if training.dry_run else output / "labels.txt"
    train = labelled_share(whole, settings.data.share, labels)
    if training.batch_size > train.size:
        raise SettingsError(
            f"--batch_size={training.batch_size}: {train.name} has {train.size} images, of which a "
            "batch would hold some twice; lower it"
        )
    task = make_task(train, test)
    if training.dry_run:
        print(describe(task, starts, whole, strategy))
        return None
    rows, facts, unreadable = {}, {}, 0
    for start in starts:
        directory = output / start.name
        trained = train_downstream(task, start, directory, strategy)
        print(f"{start.name:<10} {task.told(trained.figures)}", flush=True)
        if settings.export:
            _export(task, start, trained, directory / task.network_name)
        unreadable = max(unreadable, trained.unreadable)
        facts = task.facts(trained.model)  # of one network, whatever its weights
        rows[start.name] = {
            **trained.figures,
            "train_loss": trained.loss,
            "origin": start.origin,
            "encoder_sha256": trained.encoder_sha256,
        }
    note_places(output, settings)
    path = output / f"{settings.result}.json"
    left_out = {UNREADABLE: unreadable} if unreadable else {}
    replicas = strategy.num_replicas_in_sync
    report = _report(settings, task, whole, starts[0].step, replicas, facts)
    write_json(path, {**report, **left_out, **learned_from, **rows})
    print(f"result in {path}{train.unreadable.summary()}")
    return task, rows


def _report(
    settings: AnnotatedTrainingSettings,
    task: Task,
    whole: AnnotatedSource,
    step: int,
    replicas: int,
    facts: dict[str, Any],
) -> dict[str, Any]:
    """What a report tells of images, protocol and training, before its rows.

    Args:
        settings: of the command.
        task: that is learned.
        whole: the images of which it learns from a share.
        step: of the first encoder.
        replicas: number of replicas.
        facts: of `Task.facts`.
    """
    training, train, test = settings.training, task.train, task.test
    return {
        "step": step,
        "train": f"{train.name}, {train.size} images",
        "test": f"{test.name}, {test.size} images",
        **contents_of(whole, test),
        **annotations_of(whole, test),
        "classes": test.num_classes,
        "share": settings.data.share.share_name,
        "protocol": protocol(settings),
        "steps": training.steps,
        "batch_size": training.batch_size,
        "replicas": replicas,
        **facts,
        "batch_norm": training.batch_norm,
        "frozen_stages": training.frozen_stages,
    }


def _export(task: Task, start: StartingEncoder, trained: Trained, directory: Path) -> None:
    """Writes the SavedModel of a trained network, unless it is there."""
    if directory.exists():
        return
    plain = task.build(start.build(False), False)
    plain.encoder.set_weights(trained.model.encoder.get_weights())
    plain.head.set_weights(trained.model.head.get_weights())
    task.export(plain, directory, start.origin)
    print(f"{start.name:<10} exported to {directory}", file=sys.stderr)
