"""Looks at what a detector finds while it learns."""

from collections.abc import Sequence
from pathlib import Path

from ssl_tf.data.annotations.annotated_source import AnnotatedSource
from ssl_tf.detection.coco_figures import coco_figures
from ssl_tf.detection.found_objects import ImageObjects, find_objects
from ssl_tf.detection.network import DenseDetector, RegionDetector
from ssl_tf.detection.picture import draw_objects
from ssl_tf.training.callbacks import StepCallback
from ssl_tf.training.run_log import RunLog


class Look(StepCallback):
    """Draws the objects found in the first test images, and logs the AP50 of their boxes."""

    def __init__(
        self,
        start_step: int,
        detector: RegionDetector | DenseDetector,
        source: AnnotatedSource,
        truth: Sequence[ImageObjects],
        path: Path,
        log: RunLog,
        every: int,
    ):
        """
        Args:
            start_step: step from which this process continues.
            detector: that learns.
            source: of the images.
            truth: objects of its first images.
            path: of the picture, replaced at each look.
            log: takes the figure and shows the picture.
            every: steps between two looks.
        """
        super().__init__(start_step)
        self._detector = detector
        self._source = source
        self._truth = truth
        self._path = path
        self._log = log
        self._every = every

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        if not self.passed(self._every):
            return
        with self._log.clock.pause("look", self._every):
            found = list(find_objects(self._detector, self._source, len(self._truth)))
            figures, _ = coco_figures(self._truth, found, self._source.num_classes, "box")
            if figures["box_ap50"] is not None:
                self._log.extra["box_ap50_of_few"] = figures["box_ap50"]
            sheet = draw_objects(self._source, self._truth, {f"step {step}": found}, self._path)
            self._log.write_picture("detections", sheet, step)
