"""Trains detectors from the encoder of a run, and judges their boxes and masks.

`python -m ssl_tf.detect --flagfile=configs/detect_scenes.flags --checkpoint=RUN`
"""

from pathlib import Path

from ssl_tf import command
from ssl_tf.settings import DetectSettings


def main(settings: DetectSettings) -> None:
    """Trains one detector for each encoder, by equal steps, and writes one report."""
    from ssl_tf.detection.model_garden import check_installed

    check_installed()
    from ssl_tf.data.annotations.annotated_source import AnnotatedSource
    from ssl_tf.detection.detection_table import table
    from ssl_tf.detection.detection_task import Detection
    from ssl_tf.downstream.stage import run_stage
    from ssl_tf.files import write_text

    training, network = settings.training, settings.network

    def make_task(train: AnnotatedSource, test: AnnotatedSource) -> Detection:
        train.warn_of_empty_classes()
        train.warn_of_more_objects(network.max_objects)
        return Detection(train, test, training, network, settings.is_voc)

    done = run_stage(
        settings,
        "detect",
        "masks" if network.masks else "boxes",
        make_task,
    )
    if done:
        task, rows = done
        data = f"here, {training.steps} steps on {task.train.name}"
        text = table(rows, settings.is_voc, data, task.remarks)
        write_text(Path(settings.output, "detection.md"), text)


if __name__ == "__main__":
    command.run(main, DetectSettings)
