"""Trains semantic segmentation from the encoder of a run, and judges its label maps.

`python -m ssl_tf.segment --flagfile=configs/segment_ade20k.flags --checkpoint=RUN`
"""

import sys
from pathlib import Path

from ssl_tf import command
from ssl_tf.settings import SegmentSettings


def main(settings: SegmentSettings) -> None:
    """Trains one segmenter for each encoder, by equal steps, and writes one report."""
    from ssl_tf.data.annotations.open_annotated import labelled_share, open_annotated
    from ssl_tf.downstream.downstream_training import report_rows, train_downstream
    from ssl_tf.downstream.starting_encoders import open_starting_encoders
    from ssl_tf.files import write_json
    from ssl_tf.segmentation.exported_segmenter import export_segmenter
    from ssl_tf.segmentation.segmentation_plan import describe
    from ssl_tf.segmentation.segmentation_task import Segmentation
    from ssl_tf.training.output_directory import check_output, open_output
    from ssl_tf.training.strategy import make_strategy

    training, output = settings.training, Path(settings.output)
    # First, because a CPU can be split only before any operation runs on it.
    strategy = make_strategy(training.logical_cpus, training.batch_size, training.accumulate)
    check_output(settings, "segmentation")
    starts = open_starting_encoders(settings.start, training.seed)
    whole, test = open_annotated(settings.data, "label_maps")
    if not training.dry_run:
        open_output(settings, "segmentation", "segment")
    labels = None if training.dry_run else output / "labels.txt"
    train = labelled_share(whole, settings.data.share, labels)
    task = Segmentation(train, test, training, settings.segmenter)
    if training.dry_run:
        print(describe(task, starts, whole, strategy))
        return
    results = {}
    for start in starts:
        directory = output / start.name
        result = results[start.name] = train_downstream(task, start, directory, strategy)
        figures = result.figures
        print(
            f"{start.name:<10} mIoU {100 * figures['miou']:.2f}  pixel accuracy "
            f"{100 * figures['pixel_accuracy']:.2f}  mean accuracy "
            f"{100 * figures['mean_accuracy']:.2f}",
            flush=True,
        )
        if settings.export and not (directory / "segmenter").exists():
            plain = task.build(start.build(False), False)
            plain.encoder.set_weights(result.model.encoder.get_weights())
            plain.head.set_weights(result.model.head.get_weights())
            export_segmenter(plain, train.class_names, directory / "segmenter", start.origin)
            print(f"{start.name:<10} exported to {directory / 'segmenter'}", file=sys.stderr)
    left_out = {"unreadable_images": train.unreadable.count} if train.unreadable.count else {}
    write_json(
        output / "segmentation.json",
        {
            "step": starts[0].step,
            "train": f"{train.name}, {train.size} images",
            "test": f"{test.name}, {test.size} images",
            "share": settings.share.removeprefix("_"),
            "steps": training.steps,
            "batch_size": training.batch_size,
            "head": settings.segmenter.head,
            "output_stride": settings.segmenter.output_stride,
            "crop_size": settings.segmenter.crop_size,
            "batch_norm": training.batch_norm,
            **left_out,
            **report_rows(results, starts),
        },
    )
    print(f"result in {output / 'segmentation.json'}{train.unreadable.summary()}")


if __name__ == "__main__":
    command.run(main, SegmentSettings)
