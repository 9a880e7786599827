"""The stage: a detector on each encoder, trained alike, its figures, and the report."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ssl_tf.data.annotations.annotated_source import AnnotatedSource
from ssl_tf.data.annotations.open_annotated import labelled_share, open_annotated
from ssl_tf.data.batches import example_batches
from ssl_tf.data.order import Steps
from ssl_tf.detection import published
from ssl_tf.detection.canvas import Jitter, training_canvas
from ssl_tf.detection.coco_figures import coco_figures
from ssl_tf.detection.exporting import export_detector
from ssl_tf.detection.found_objects import ImageObjects, find_objects, read_truth
from ssl_tf.detection.looks import Look
from ssl_tf.detection.memory import memory_lines
from ssl_tf.detection.network import build_detector
from ssl_tf.detection.picture import draw_objects
from ssl_tf.detection.remarks import remarks
from ssl_tf.detection.training_step import DetectorTraining
from ssl_tf.detection.voc_figures import voc_figures
from ssl_tf.downstream.optimization import compile_network, learning_rate
from ssl_tf.downstream.reports import report_path, table, training_place
from ssl_tf.downstream.starts import Starts, freeze, open_starts
from ssl_tf.downstream.training import Training, identity
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.files import read_json, write_json, write_text
from ssl_tf.networks.precision import policy_scope
from ssl_tf.settings import DetectSettings
from ssl_tf.training.callbacks import Diverged
from ssl_tf.training.resumption import training_directory
from ssl_tf.training.run_log import RunLog
from ssl_tf.training.stop_signals import StopSignals
from ssl_tf.training.strategy import make_strategy

PREDICTIONS, PICTURE, TABLE = "predictions.json", "detections.png", "detection.md"
_SHOWN = 8
_COLUMNS = {
    "box_ap": "box AP", "box_ap50": "AP50", "box_ap75": "AP75", "box_aps": "APs",
    "box_apm": "APm", "box_apl": "APl", "mask_ap": "mask AP", "mask_ap50": "mask AP50",
    "mask_ap75": "mask AP75", "voc_ap": "VOC AP", "voc_ap50": "VOC AP50", "voc_ap75": "VOC AP75",
}  # fmt: skip
_RECOMPUTED = "remove it, and it is computed again"


def detect_stage(settings: DetectSettings) -> None:
    """Trains, judges and reports; a call after a kill goes on where it was.

    Raises:
        UserError: data, encoders or directory do not fit, or a loss diverged.
        Stopped: a signal asked to stop; the state is saved.
    """
    training = settings.training
    # First, because a CPU can be split only before any operation runs on it.
    strategy = make_strategy(training.logical_cpus, training.batch_size, training.accumulate)
    train, test = open_annotated(settings.data, "masks" if settings.network.masks else "boxes")
    tested = f"{test.name}, {test.size} images"
    report = report_path(training, "detection", tested)
    place = training_place(report)
    train = labelled_share(train, settings.data.share, place / "labels.txt")
    if training.batch_size > train.size:
        raise SettingsError(
            f"--batch_size={training.batch_size}: {train.name} has {train.size} images, which a "
            "batch would hold several times; lower it"
        )
    starts = open_starts(training.start, training.seed)
    sources = {"train": train, "test": test}
    free = dataclasses.replace(settings, training=dataclasses.replace(training, output=""))
    with training_directory(place, identity(free, sources, starts.digests), sources):
        with StopSignals() as signals:
            stage = _Stage(settings, train, test, starts, place, strategy, signals)
            results = {name: stage.result(name) for name in starts.factories}
    facts = {
        **starts.facts,
        "train": f"{train.name}, {train.size} images",
        "test": tested,
        "detector": settings.network.detector,
        "steps": training.steps,
        "batch_size": training.batch_size,
        "norm": training.norm,
        "frozen_stages": training.frozen_stages,
        "remarks": remarks(settings),
    }
    if unreadable := train.unreadable.count:
        facts["unreadable_images"] = unreadable
    write_json(report, {**facts, **results})
    rows = (*published.COCO, *published.VOC) if not stage.is_voc else published.VOC
    text = table(_COLUMNS, results, rows, f"here, {training.steps} steps")
    write_text(place / TABLE, text + "".join(f"\n{remark}\n" for remark in facts["remarks"]))
    for name, figures in results.items():
        print(f"{name:<10} {_told(figures)}")
    print(f"result in {report}, table and pictures in {place}{train.unreadable.summary()}")


@dataclasses.dataclass(frozen=True)
class _Stage:
    settings: DetectSettings
    train: AnnotatedSource
    test: AnnotatedSource
    starts: Starts
    place: Path
    strategy: tf.distribute.Strategy
    signals: StopSignals

    @property
    def is_voc(self) -> bool:
        """Whether the images are VOC's, and so its figures."""
        return bool(self.settings.data.voc_dir) or self.settings.data.dataset.startswith("voc")

    @functools.cached_property
    def truth(self) -> list[ImageObjects]:
        """The true objects of the test images, read once for all encoders."""
        return read_truth(self.test)

    def result(self, name: str) -> dict[str, Any]:
        """The figures of the detector on one encoder, from its file if it is done."""
        directory = self.place / name
        path = directory / "figures.json"
        if path.exists():
            return read_json(path, dict, _RECOMPUTED)
        network = self._network(name)
        try:
            last = self._fit(network, directory)
        except Diverged as error:
            raise UserError(
                f"{error.cause}: lower --base_learning_rate, or give more --warmup_steps"
            ) from None
        found = list(find_objects(network.detector, self.test))
        figures = {
            **self._figures(found),
            **last,
            "encoder_sha256": self.starts.digests[name],
        }
        write_json(directory / PREDICTIONS, predictions(found, self.test))
        shown = self.truth[:_SHOWN]
        indices = {image.index for image in shown}
        first = [image for image in found if image.index in indices]
        draw_objects(self.test, shown, {name: first}, directory / PICTURE)
        if self.settings.training.export:
            difference = export_detector(
                network.detector,
                directory / "saved_model",
                self.test.class_names,
                self.train.category_ids,
            )
            print(f"{directory / 'saved_model'}: read back, differs by {difference:.2g}")
        write_json(path, figures)
        return figures

    def _network(self, name: str) -> DetectorTraining:
        """The compiled network on an encoder, with its initial weights."""
        return build_network(
            self.starts.factories[name], self.settings, self.train.num_classes, self.strategy
        )

    def _fit(self, network: DetectorTraining, directory: Path) -> dict[str, float]:
        training = self.settings.training
        fit = Training(training, self.train, self._batches, self.strategy, self.signals).fit

        def look(start: int, log: RunLog) -> list[tf.keras.callbacks.Callback]:
            if not training.look_every:
                return []
            shown = self.truth[:_SHOWN]
            return [Look(start, network.detector, self.test, shown, directory / PICTURE, log,
                         training.look_every)]  # fmt: skip

        items = {"detector": network.detector}
        return fit(network, items, directory, network.logged, look)

    def _batches(self, start: int) -> tf.data.Dataset:
        training, network = self.settings.training, self.settings.network
        jitter = Jitter(network.scale_min, network.scale_max, network.flip)

        def make(example: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
            return training_canvas(example, network.canvas, network.max_objects, jitter, seed)

        steps = Steps(training.seed, training.batch_size, start, training.steps)
        return example_batches(self.train, make, steps)

    def _figures(self, found: list[ImageObjects]) -> dict[str, Any]:
        classes = self.test.num_classes
        names = self.test.class_names or tuple(map(str, range(classes)))
        figures: dict[str, Any] = {}
        for kind in ("box", "mask") if self.settings.network.masks else ("box",):
            of_kind, by_class = coco_figures(self.truth, found, classes, kind)
            figures |= {**of_kind, f"{kind}_ap_by_class": dict(zip(names, by_class))}
        if self.is_voc:
            figures |= voc_figures(self.truth, found, classes)
        return figures


def build_network(
    new_encoder: Any,
    settings: DetectSettings,
    num_classes: int,
    strategy: tf.distribute.Strategy,
) -> DetectorTraining:
    """The compiled network on a new encoder, on the devices of a strategy.

    Args:
        new_encoder: builds the encoder (`EncoderFactory`).
        settings: of the stage.
        num_classes: C.
        strategy: whose replicas train.
    """
    training = settings.training
    synchronized = training.norm == "synchronized" and strategy.num_replicas_in_sync > 1
    with strategy.scope(), policy_scope(training.precision):
        encoder = new_encoder(synchronized)
        freeze(encoder, training.frozen_stages, training.norm == "frozen")
        kind = "per_replica" if training.norm == "synchronized" and not synchronized else None
        detector = build_detector(
            encoder, settings.network, num_classes, training.seed, batch_norm=kind or training.norm
        )
        network = DetectorTraining(detector, training.accumulate)
        compile_network(
            network, training, network.learned_variables, encoder.trainable_variables
        )
    return network


def predictions(found: list[ImageObjects], source: AnnotatedSource) -> list[dict[str, Any]]:
    """What is found in COCO's format of results, with the ids of the annotations."""
    ids = [example.numpy() for example in source.ids()]
    made = []
    for image in found:
        name = ids[image.index].decode("utf-8", "backslashreplace")
        for row, (top, left, bottom, right) in enumerate(image.boxes.tolist()):
            entry = {
                "image_id": int(name) if name.isdecimal() else name,
                "category_id": int(source.category_ids[image.classes[row]]),
                "bbox": [round(x, 3) for x in (left, top, right - left, bottom - top)],
                "score": round(float(image.scores[row]), 6),
            }
            if image.masks:
                entry["segmentation"] = image.masks[row]
            made.append(entry)
    return made


def describe(settings: DetectSettings) -> str:
    """The plan of the stage from its settings, one fact a line; nothing is trained or written.

    Raises:
        UserError: the encoders or the data cannot be opened.
    """
    training, network = settings.training, settings.network
    strategy = make_strategy(training.logical_cpus, training.batch_size, training.accumulate)
    train, test = open_annotated(settings.data, "masks" if network.masks else "boxes")
    starts = open_starts(training.start, training.seed)
    factory = next(iter(starts.factories.values()))
    built = build_network(factory, settings, train.num_classes, strategy)
    detector = built.detector
    learned = sum(v.shape.num_elements() for v in built.learned_variables)
    of_encoder = sum(v.shape.num_elements() for v in detector.encoder.trainable_variables)
    return "\n".join(
        [
            f"images            {train.size} ({train.name}), {test.size} to report on",
            f"classes           {train.num_classes}",
            f"encoders          {', '.join(starts.factories)}: a training each",
            f"steps             {training.steps} of batch {training.batch_size} "
            f"({training.steps * training.batch_size / train.size:.2f} epochs)",
            f"learning rate     {_peak(settings):g} at its peak, {training.schedule}, "
            f"{training.optimizer}; encoder x {training.trunk_rate_multiplier:g}",
            f"parameters        {learned:,} learned; encoder {of_encoder:,}",
            f"anchors           {len(detector.anchors):,} an image",
            *memory_lines(built, settings, strategy.num_replicas_in_sync),
            *(f"departs           {remark}" for remark in remarks(settings)),
        ]
    )


def _peak(settings: DetectSettings) -> float:
    schedule = learning_rate(settings.training)
    return float(np.max([schedule(step) for step in {0, settings.training.warmup_steps}]))


def _told(figures: dict[str, Any]) -> str:
    told = [
        f"{heading} {100 * figures[name]:.1f}"
        for name, heading in _COLUMNS.items()
        if figures.get(name) is not None
    ]
    return "  ".join(told) or "no true object to find"
