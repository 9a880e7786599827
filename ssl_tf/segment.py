"""Trains semantic segmentation from the encoder of a run, and judges its label maps.

`python -m ssl_tf.segment --flagfile=configs/segment_ade20k.flags --checkpoint=RUN`
"""

from ssl_tf import command
from ssl_tf.settings import SegmentSettings


def main(settings: SegmentSettings) -> None:
    """Trains one segmenter for each encoder, by equal steps, and writes one report."""
    from ssl_tf.downstream.stage import run_stage
    from ssl_tf.segmentation.segmentation_heads import check_part
    from ssl_tf.segmentation.segmentation_task import Segmentation

    run_stage(
        settings,
        "segment",
        "label_maps",
        lambda train, test: Segmentation(train, test, settings.training, settings.segmenter),
        lambda images: check_part(settings.segmenter.head, images),
    )


if __name__ == "__main__":
    command.run(main, SegmentSettings)
