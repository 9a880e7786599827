"""Trains detectors from the encoder of a run, and judges their boxes and masks.

`python -m ssl_tf.detect --flagfile=configs/detect_scenes.flags --checkpoint=RUN`
"""

import dataclasses
import sys
from pathlib import Path

from ssl_tf import command
from ssl_tf.settings import DetectSettings


def main(settings: DetectSettings) -> None:
    """Trains one detector for each encoder, by equal steps, and writes one report."""
    from ssl_tf.detection.model_garden import check_installed

    check_installed()
    from ssl_tf.data.annotations.open_annotated import labelled_share, open_annotated
    from ssl_tf.detection.detection_plan import describe
    from ssl_tf.detection.detection_table import table, told
    from ssl_tf.detection.detection_task import Detection
    from ssl_tf.detection.exported_detector import export_detector
    from ssl_tf.detection.remarks import remarks
    from ssl_tf.downstream.downstream_training import report_rows, train_downstream
    from ssl_tf.downstream.starting_encoders import open_starting_encoders
    from ssl_tf.errors import SettingsError
    from ssl_tf.files import write_json, write_text
    from ssl_tf.training.output_directory import check_output, open_output
    from ssl_tf.training.strategy import make_strategy

    training, network, output = settings.training, settings.network, Path(settings.output)
    # First, because a CPU can be split only before any operation runs on it.
    strategy = make_strategy(training.logical_cpus, training.batch_size, training.accumulate)
    check_output(settings, "detection")
    starts = open_starting_encoders(settings.start, training.seed)
    whole, test = open_annotated(settings.data, "masks" if network.masks else "boxes")
    if not training.dry_run:
        open_output(settings, "detection", "detect")
    labels = None if training.dry_run else output / "labels.txt"
    train = labelled_share(whole, settings.data.share, labels)
    if training.batch_size > train.size:
        raise SettingsError(
            f"--batch_size={training.batch_size}: {train.name} has {train.size} images, of which a "
            "batch would hold some twice; lower it"
        )
    task = Detection(train, test, training, network, settings.is_voc)
    told_remarks = remarks(settings)
    if training.dry_run:
        print(describe(task, starts, whole, strategy, told_remarks))
        return
    results = {}
    for start in starts:
        directory = output / start.name
        of_start = dataclasses.replace(task, predictions=directory / "predictions.json")
        result = results[start.name] = train_downstream(of_start, start, directory, strategy)
        print(f"{start.name:<10} {told(result.figures) or 'no true object'}", flush=True)
        if settings.export and not (directory / "detector").exists():
            plain = task.build(start.build(False), False)
            plain.encoder.set_weights(result.model.encoder.get_weights())
            plain.head.set_weights(result.model.head.get_weights())
            export_detector(plain, train, directory / "detector", start.origin)
            print(f"{start.name:<10} exported to {directory / 'detector'}", file=sys.stderr)
    rows = report_rows(results, starts)
    left_out = {"unreadable_images": train.unreadable.count} if train.unreadable.count else {}
    write_json(
        output / "detection.json",
        {
            "step": starts[0].step,
            "train": f"{train.name}, {train.size} images",
            "test": f"{test.name}, {test.size} images",
            "share": settings.share.removeprefix("_"),
            "steps": training.steps,
            "batch_size": training.batch_size,
            "detector": network.detector,
            "masks": network.masks,
            "canvas": network.canvas,
            "batch_norm": training.batch_norm,
            "frozen_stages": training.frozen_stages,
            "remarks": told_remarks,
            **left_out,
            **rows,
        },
    )
    data = f"here, {training.steps} steps on {train.name}"
    write_text(output / "detection.md", table(rows, settings.is_voc, data, told_remarks))
    print(f"result in {output / 'detection.json'}{train.unreadable.summary()}")


if __name__ == "__main__":
    command.run(main, DetectSettings)
