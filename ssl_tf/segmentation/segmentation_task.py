"""Semantic segmentation as a task: its network, batches, figures and picture."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ssl_tf.data.annotations.annotated_source import AnnotatedSource
from ssl_tf.data.batches import transformed_batches, with_private_threads
from ssl_tf.data.decoding import decode
from ssl_tf.data.order import Steps
from ssl_tf.downstream.downstream_training import Task
from ssl_tf.errors import UserError
from ssl_tf.networks.resnet import SPATIAL_FEATURES, activation_floats
from ssl_tf.segmentation.confusion import Confusion, count_pixels
from ssl_tf.segmentation.exported_segmenter import export_segmenter
from ssl_tf.segmentation.segmentation_crops import random_crop
from ssl_tf.segmentation.segmentation_sheet import draw_label_maps
from ssl_tf.segmentation.segmenter import Segmenter
from ssl_tf.settings import DownstreamSettings, SegmenterSettings, fields

_SHOWN = 6
# Scores, probabilities and their gradients, of each pixel and class.
_SCORE_COPIES = 3


@dataclasses.dataclass(frozen=True)
class Segmentation(Task):
    """What a segmentation gives to the training of a network.

    Attributes:
        train, test, settings: as in `Task`; the images have label maps.
        segmenter: settings of network, crops and test.
    """

    network_name = "segmenter"

    train: AnnotatedSource
    test: AnnotatedSource
    settings: DownstreamSettings
    segmenter: SegmenterSettings

    @property
    def identity(self) -> dict[str, str]:
        flags = fields.result_flags(self.segmenter).items()
        return {**{f"--{name}": text for name, text in flags}, "classes": str(self._classes)}

    def build(self, encoder: tf.keras.Model, synchronized: bool) -> Segmenter:
        return Segmenter(
            encoder,
            self._classes,
            self.segmenter,
            synchronized=synchronized,
            seed=self.settings.seed,
        )

    def batches(self, steps: Steps) -> tf.data.Dataset:
        size, scales = self.segmenter.crop_size, self.segmenter.scale_range

        def crop(example: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
            return random_crop(example, seed, size, scales)

        return transformed_batches(self.train, crop, steps)

    def evaluate(self, model: Segmenter) -> dict[str, Any]:
        """`Confusion.figures`, and "class_iou": name of the class -> its IoU, None if absent."""
        classes = self._classes
        counts = np.zeros((classes, classes), np.int64)
        for _, predicted, truth in self._predictions(model, self.test):
            counts += count_pixels(truth, predicted, classes)
        if not counts.any():
            raise UserError(
                f"{self.test.name}: none of its {self.test.size} images can be decoded, or all of "
                "their pixels have the ignored label; mend or convert them"
            )
        confusion = Confusion(counts)
        names = self.test.names_or_numbers
        return {**confusion.figures(), "class_iou": dict(zip(names, confusion.class_ious()))}

    def draw(self, model: Segmenter, path: Path) -> np.ndarray | None:
        shown = np.zeros(self.test.size, bool)
        shown[np.linspace(0, self.test.size - 1, min(_SHOWN, self.test.size)).astype(int)] = True
        part = self.test.part(shown, self.test.name)
        rows = list(self._predictions(model, part))
        return draw_label_maps(rows, self.test.class_names, path)

    def export(self, model: Segmenter, directory: Path, origin: str) -> None:
        source = self.train
        export_segmenter(model, source.class_names, source.stored_ids, directory, origin)

    def told(self, figures: Mapping[str, Any]) -> str:
        miou, pixels, mean = (
            100 * figures[name] for name in ("miou", "pixel_accuracy", "mean_accuracy")
        )
        return f"mIoU {miou:.2f}  pixel accuracy {pixels:.2f}  mean accuracy {mean:.2f}"

    def told_network(self, model: Segmenter) -> str:
        segmenter = self.segmenter
        return f"{segmenter.head} at stride {model.stride}, crops of {segmenter.crop_size} px"

    def activation_floats(self, model: Segmenter) -> float:
        side = self.segmenter.crop_size
        last = model.encoder.get_layer(SPATIAL_FEATURES).output
        maps = tf.keras.Model(model.encoder.input, last)
        return activation_floats(maps, side) + _SCORE_COPIES * side * side * self._classes

    def facts(self, model: Segmenter) -> dict[str, Any]:
        segmenter = self.segmenter
        return {
            "head": segmenter.head,
            "output_stride": model.stride,  # --output_stride is the largest that it may have
            "crop_size": segmenter.crop_size,
        }

    @property
    def _classes(self) -> int:
        return self.train.num_classes

    def _predictions(
        self, model: Segmenter, source: AnnotatedSource
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Image, predicted labels and true labels of each readable image, at its own size."""
        examples = (
            source.sequence()
            .map(
                lambda example: decode(example, source.unreadable),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
            .filter(lambda example: example["readable"])
            .map(lambda example: (example["image"], example["label_map"]))
            .prefetch(2)
        )
        for image, truth in source.read(with_private_threads(examples)):
            yield image, model.labels(image[np.newaxis])[0].numpy(), truth
