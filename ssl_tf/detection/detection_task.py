"""Detection as a task: its network, batches, figures and picture."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ssl_tf.data.annotations.annotated_source import AnnotatedSource
from ssl_tf.data.batches import transformed_batches
from ssl_tf.data.order import Steps
from ssl_tf.detection.canvas import Jitter, training_canvas
from ssl_tf.detection.coco_figures import coco_figures
from ssl_tf.detection.departures import departures
from ssl_tf.detection.detection_sheet import draw_objects
from ssl_tf.detection.detection_table import told
from ssl_tf.detection.detector import Detector
from ssl_tf.detection.exported_detector import export_detector
from ssl_tf.detection.found_objects import ImageObjects, find_objects, read_truth
from ssl_tf.detection.head_memory import head_activation_floats
from ssl_tf.detection.predictions import write_predictions
from ssl_tf.detection.voc_figures import voc_figures
from ssl_tf.downstream.downstream_training import Task
from ssl_tf.errors import UserError
from ssl_tf.networks.resnet import activation_floats
from ssl_tf.settings import DetectorSettings, DownstreamSettings, fields

_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Detection(Task):
    """What detection gives to the training of a network.

    Attributes:
        train, test, settings: as in `Task`; the images have objects.
        network: settings of the detector.
        is_voc: give the figures of VOC, too.
        predictions: file for what is found, in COCO's format, of `in_directory`; None: none is
            written.
    """

    network_name = "detector"

    train: AnnotatedSource
    test: AnnotatedSource
    settings: DownstreamSettings
    network: DetectorSettings
    is_voc: bool = False
    predictions: Path | None = None

    @property
    def identity(self) -> dict[str, str]:
        flags = fields.result_flags(self.network).items()
        classes = str(self.train.num_classes)
        return {**{f"--{name}": text for name, text in flags}, "classes": classes}

    def build(self, encoder: tf.keras.Model, synchronized: bool) -> Detector:
        batch_norm = self.settings.batch_norm
        if batch_norm != "frozen":
            batch_norm = "synchronized" if synchronized else "replica"
        return Detector(
            encoder,
            self.train.num_classes,
            self.network,
            batch_norm=batch_norm,
            seed=self.settings.seed,
        )

    def batches(self, steps: Steps) -> tf.data.Dataset:
        network = self.network
        jitter = Jitter(network.scale_min, network.scale_max, network.flip)

        def make(example: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
            return training_canvas(example, network.canvas, network.max_objects, jitter, seed)

        return transformed_batches(self.train, make, steps)

    def evaluate(self, model: Detector) -> dict[str, Any]:
        """`coco_figures` of boxes and masks, of VOC `voc_figures`, and the AP of each class."""
        found = list(find_objects(model, self.test))
        if not found:
            raise UserError(
                f"{self.test.name}: none of its {self.test.size} images can be decoded; mend or "
                "convert them"
            )
        if self.predictions is not None:
            write_predictions(found, self.test, self.predictions)
        classes, names = self.test.num_classes, self.test.names_or_numbers
        figures: dict[str, Any] = {}
        for kind in ("box", "mask") if self.network.masks else ("box",):
            of_kind, by_class = coco_figures(self._truth, found, classes, kind)
            figures |= {**of_kind, f"class_{kind}_ap": dict(zip(names, by_class))}
        if self.is_voc:
            figures |= voc_figures(self._truth, found, classes)
        return figures

    def draw(self, model: Detector, path: Path) -> np.ndarray | None:
        return draw_objects(
            self.test, self._truth[:_SHOWN], list(find_objects(model, self.test, _SHOWN)), path
        )

    def export(self, model: Detector, directory: Path, origin: str) -> None:
        export_detector(model, self.train, directory, origin)

    def told(self, figures: Mapping[str, Any]) -> str:
        return told(figures) or "no true object"

    def told_network(self, model: Detector) -> str:
        name = "mask_rcnn" if self.network.masks else self.network.detector
        return (
            f"{name} on a canvas of {self.network.canvas} px, {len(model.head.anchors):,} anchors"
        )

    def activation_floats(self, model: Detector) -> float:
        canvas = self.network.canvas
        return activation_floats(model.encoder, canvas) + head_activation_floats(model.head)

    def facts(self, model: Detector) -> dict[str, Any]:
        names = ("detector", "masks", "canvas")
        return {**{name: getattr(self.network, name) for name in names}, "remarks": self.remarks}

    @property
    def remarks(self) -> list[str]:
        return departures(
            self.network.detector,
            self.settings.batch_norm,
            is_voc=self.is_voc,
            max_detections=self.network.max_detections,
        )

    def in_directory(self, directory: Path) -> "Detection":
        return dataclasses.replace(self, predictions=directory / "predictions.json")

    @functools.cached_property
    def _truth(self) -> list[ImageObjects]:
        return read_truth(self.test)
