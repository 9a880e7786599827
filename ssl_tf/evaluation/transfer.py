"""Transfer to a suite of data sets, with a report for each as soon as it is finished."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ssl_tf.data.source import Source
from ssl_tf.errors import NotPrepared, UserError, warn
from ssl_tf.evaluation.classification import real_batch_size
from ssl_tf.evaluation.context import Encoders, format_figures
from ssl_tf.evaluation.features import FeatureReader, warn_of_absent_classes
from ssl_tf.evaluation.finetuning import FineTuning, LabelledImages, report_of
from ssl_tf.evaluation.freezing import digest, frozen
from ssl_tf.evaluation.logistic_regression import (
    PENALTIES,
    Examples,
    choose_classifier,
)
from ssl_tf.evaluation.metrics import score_figures
from ssl_tf.evaluation.protocols import PROTOCOLS, Protocol
from ssl_tf.files import read_json, write_json
from ssl_tf.settings import TransferSettings, TuningSettings, fields
from ssl_tf.training.data_record import digest_data
from ssl_tf.training.learned_images import entry_of_learned
from ssl_tf.training.report_entries import LEARNED_FROM, UNREADABLE

_STEPS_BETWEEN_CHECKPOINTS = 500

# Entries of a report that are of the encoder that it judges.
_OF_ENCODER = ("trained", "random", UNREADABLE, LEARNED_FROM)

Report = dict[str, Any]


def report_path(directory: Path, name: str, protocol: str) -> Path:
    """The path of the report of a data set; `directory` is that of all reports."""
    return directory / f"{name}_{protocol}.json"


def read_report(path: Path) -> Report | None:
    """The report in a file; None if there is no file.

    Raises:
        UserError: the file is damaged.
    """
    return read_json(path, dict, "remove it, and it is recomputed") if path.exists() else None


def run_suite(
    settings: TransferSettings,
    opened: Encoders,
    directory: Path,
    strategy: tf.distribute.Strategy | None,
) -> None:
    """Completes the reports of a suite.

    Reports of the same encoder, step and settings are kept. A data set that is not prepared is
    skipped, and a data set that fails does not stop the others. All of this is printed.

    Args:
        settings: of the suite.
        opened: the encoders; results of other encoders are replaced.
        directory: of the reports; created if missing in that of the run.
        strategy: for fine-tuning; None for linear classifiers.

    Raises:
        UserError: no data set is prepared and none has a report, or a data set failed.
        Stopped: a signal asked a fine-tuning to stop.
    """
    digests = {name: digest(encoder) for name, encoder in opened.encoders.items()}
    complete, failed = 0, []
    for name in settings.datasets:
        evaluation = _Evaluation(
            name, PROTOCOLS[name], settings, opened, digests, directory, strategy
        )
        try:
            evaluation.complete()
            complete += 1
        except NotPrepared as error:
            print(f"{evaluation.protocol.title}: skipped: {error}", file=sys.stderr, flush=True)
        except UserError as error:
            print(f"{evaluation.protocol.title}: failed: {error}", file=sys.stderr, flush=True)
            failed.append(name)
    if failed:
        raise UserError(f"{', '.join(failed)} failed, as reported above; the others are finished")
    if not complete:
        raise UserError(
            f"no data set of --suite={settings.suite} is prepared; the lines above say how to "
            "prepare one"
        )


@dataclasses.dataclass(frozen=True)
class _Evaluation:
    """The evaluation of one data set of a suite."""

    name: str
    protocol: Protocol
    settings: TransferSettings
    opened: Encoders
    digests: dict[str, str]
    directory: Path
    strategy: tf.distribute.Strategy | None

    def complete(self) -> None:
        """Evaluates the encoders that are missing in the report, or all if it is of other images.

        Raises:
            UserError: as in `Protocol.open`, or in the evaluation.
        """
        title, path = (
            self.protocol.title,
            report_path(self.directory, self.name, self.settings.protocol),
        )
        report, identity = read_report(path) or {}, self._identity()
        if report and any(report.get(key) != value for key, value in identity.items()):
            self._replace(path, "of other settings or another step")
            report = {}
        report = self._of_this_encoder(report, path)
        try:
            splits = self.protocol.open(self.settings.reading)
        except NotPrepared:
            # A report that was made where the data set is prepared stays.
            if self._missing(report):
                raise
            print(f"{title}: there already, in {path}", flush=True)
            return
        sources = {part: splits[part] for part in ("whole", "test")}
        identity["data"] = {n: dataclasses.asdict(digest_data(s)) for n, s in sources.items()}
        if report and not _is_of(report, identity["data"]):
            self._replace(path, "of other images")
            report = {}
        missing = self._missing(report)
        facts = {**identity, **self._encoder_in_a_file()}
        if not missing:
            if {**report, **facts} != read_report(path):  # of an earlier version
                write_json(path, {**report, **facts})
            print(f"{title}: there already, in {path}", flush=True)
            return
        images = self.protocol.images(splits)
        report = {
            **report,
            **facts,
            **self._sizes(images),
            **entry_of_learned([self.settings.encoder.checkpoint], images.test),
        }
        evaluate = {"linear": self._linear, "finetune": self._fine_tuned}[self.settings.protocol]
        for encoder in missing:
            report[encoder] = evaluate(encoder, images)
            counts = report[encoder].pop(UNREADABLE, 0), images.train.unreadable.count
            if any(counts):
                report[UNREADABLE] = max(counts)
            path.parent.mkdir(exist_ok=True)
            write_json(path, report)
            figure = {self.protocol.metric: report[encoder][self.protocol.metric]}
            print(f"{title}: {encoder:<8} encoder: {format_figures(figure)}", flush=True)
        if images.train.unreadable.count:
            print(f"{title}{images.train.unreadable.summary()}", file=sys.stderr)

    def _replace(self, path: Path, cause: str) -> None:
        """Tells that a report is made anew.

        Raises:
            UserError: trainings of hours lie beside it, which are no more of use then.
        """
        trainings = self._trainings
        if self.settings.protocol == "finetune" and trainings.exists():
            raise UserError(
                f"{path} is {cause}, and so are the trainings in {trainings}; remove both, or give "
                "another --output"
            )
        print(f"{self.protocol.title}: {path} is {cause}; it is recomputed")

    def _of_this_encoder(self, report: Report, path: Path) -> Report:
        """The report; of one of another encoder what is of this one's start, which may be equal."""
        other = report.get("trained", {}).get("encoder_sha256", "")
        if other in ("", self.digests["trained"]):
            return report
        self._replace(path, "of another encoder")
        start = report.get("random", {})
        is_start = "random" in self.digests and "random" not in self._missing(report)
        kept = {name: value for name, value in report.items() if name not in _OF_ENCODER}
        return {**kept, "random": start} if is_start else kept

    @property
    def _trainings(self) -> Path:
        """The directory of the trainings of this data set."""
        return self.directory / f"{self.name}_finetune"

    def _missing(self, report: Report) -> list[str]:
        """The encoders whose figures a report lacks."""
        return [
            encoder
            for encoder, sha in self.digests.items()
            if report.get(encoder, {}).get("encoder_sha256") != sha
        ]

    def _identity(self) -> Report:
        """Everything that the figures depend on, besides encoder and images."""
        settings = self.settings
        options = {"max_iterations": settings.max_iterations}
        if settings.protocol == "finetune":
            options = fields.result_flags(settings.tuning)
        return {
            "dataset": self.protocol.dataset,
            "protocol": settings.protocol,
            "metric": self.protocol.metric,
            "step": self.opened.step,
            "image_size": self.opened.image_size,
            "settings": options,
        }

    def _encoder_in_a_file(self) -> Report:
        """What `compare` tells of an encoder without a run."""
        file = self.settings.encoder.init.init_encoder
        return {"init_encoder": file, **self.opened.model.network_flags} if file else {}

    def _sizes(self, images: LabelledImages) -> Report:
        sizes = [images.train.size, images.validation.size, images.test.size]
        published = list(self.protocol.sizes)
        if sizes != published:
            warn(
                f"{self.protocol.title} has {_listed(sizes)} images to train, choose and "
                f"test on, the protocol {_listed(published)}: the figure is of other images"
            )
        return {"sizes": sizes, "published_sizes": published}

    def _linear(self, name: str, images: LabelledImages) -> Report:
        classes = images.train.num_classes
        with frozen(self.opened.encoders[name]) as encode:

            def read(source: Source) -> Examples:
                return FeatureReader(encode, source, self.opened.image_size, whole=True).read()

            train, validation = read(images.train), read(images.validation)
            choice = choose_classifier(
                train,
                validation,
                classes,
                self._metric,
                name=f"{self.protocol.title}, {name} encoder",
                penalties=PENALTIES,
                max_iterations=self.settings.max_iterations,
            )
            features, labels = read(images.test)
        learned = np.concatenate([train[1], validation[1]])
        warn_of_absent_classes(images.train, learned, labels)
        return {
            **score_figures(choice.classifier.scores(features), labels),
            "penalty": choice.classifier.penalty,
            "validation": {
                f"{penalty:.4g}": figure for penalty, figure in choice.validation.items()
            },
            "stopped_at_max_iterations": list(choice.stopped),
            "encoder_sha256": self.digests[name],
        }

    def _fine_tuned(self, name: str, images: LabelledImages) -> Report:
        tuning = FineTuning(
            new_encoder=self.opened.encoder_factory(name),
            images=images,
            image_size=self.opened.image_size,
            settings=self._tuning(images.train.size),
            directory=self._trainings / name,
            strategy=self.strategy,
            reading=fields.result_flags(self.settings.reading),
            metric=self.protocol.metric,
        )
        return report_of(tuning.result())

    def _tuning(self, examples: int) -> TuningSettings:
        """The settings of fine-tuning, with fewer checkpoints if an epoch of the data is short."""
        tuning = self.settings.tuning
        least = _STEPS_BETWEEN_CHECKPOINTS * real_batch_size(tuning.batch_size, examples) / examples
        return dataclasses.replace(tuning, checkpoint_every=max(tuning.checkpoint_every, least))

    def _metric(self, scores: np.ndarray, labels: np.ndarray) -> float:
        return score_figures(scores, labels)[self.protocol.metric]


def _is_of(report: Report, data: dict[str, dict[str, Any]]) -> bool:
    """Whether a report is of the images of these digests; one of an earlier version has sizes."""
    if "data" in report:
        return report["data"] == data
    train, validation, test = report.get("sizes", (0, 0, 0))
    return [train + validation, test] == [found["count"] for found in data.values()]


def _listed(sizes: list[int]) -> str:
    return " + ".join(f"{size:,}" for size in sizes)
