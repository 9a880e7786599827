"""Trains detectors on encoders, with boxes or masks, and reports their average precision.

`python -m ssl_tf.detect --flagfile=configs/detect_scenes.flags --checkpoint=RUN`
"""

from ssl_tf import command
from ssl_tf.settings import DetectSettings


def main(settings: DetectSettings) -> None:
    """Trains a detector on the encoder of a run, and on those beside it, and compares them."""
    from ssl_tf.detection.model_garden import check_installed

    check_installed()
    from ssl_tf.detection.stage import describe, detect_stage

    if settings.training.dry_run:
        print(describe(settings))
        return
    detect_stage(settings)


if __name__ == "__main__":
    command.run(main, DetectSettings)
