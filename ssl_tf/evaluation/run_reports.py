"""Reads what training and the evaluations left in the directory of a run."""

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_tf.errors import UserError
from ssl_tf.evaluation.report_names import TRANSFERRED
from ssl_tf.evaluation.report_protocol import Protocol, kind_of, protocol_of
from ssl_tf.evaluation.report_stages import (
    HEADINGS,
    KNN,
    LINEAR,
    Stage,
    detection,
    fine_tuning,
    named_by,
    named_by_place,
    segmentation,
    transfer,
)
from ssl_tf.files import read_json
from ssl_tf.methods.encoder_work import EncoderWork, read_work, work_of_settings
from ssl_tf.settings import DataSettings, PretrainSettings
from ssl_tf.settings.model import network_name
from ssl_tf.training.data_places import DATA, TRAINING
from ssl_tf.training.environment import CODE, ENVIRONMENT
from ssl_tf.training.run_directory import (
    COMPUTE,
    FLAGS,
    METRICS,
    MetricsFile,
    is_look,
    read_settings,
)

Report = dict[str, Any]

_REMEDY = "make it anew, or remove it"
# Largest error of an epoch that is rounded to four digits twice: in its line and in `Run.epoch`.
_ROUNDED = 2e-4
_VERSIONS = ("ssl_tf", CODE, "tensorflow")
# A report of a stage, in a file.
Found = tuple[Stage, Path, Report]

# Files of reports in the directory of a run -> what these need, and the stage that they are of.
_REPORTS: dict[str, tuple[tuple[str, ...], Callable[[Report], Stage]]] = {
    "knn*.json": (("knn_k", "knn_temperature"), lambda report: KNN),
    "linear*.json": ((), lambda report: LINEAR),
    "finetune*.json": (("share", "epochs"), lambda report: fine_tuning(str(report["share"]))),
    "*/segmentation.json": (("share",), lambda report: segmentation(str(report["share"]))),
    "*/detection.json": (("share", "detector"), lambda report: detection(str(report["share"]))),
    f"{TRANSFERRED}/*.json": (
        ("dataset", "protocol", "metric"),
        lambda report: transfer(*(str(report[key]) for key in ("dataset", "protocol", "metric"))),
    ),
}


@dataclasses.dataclass(frozen=True)
class Run:
    """What one run directory holds, or one with reports of an encoder in a file.

    Attributes:
        name: of the run in table and figure.
        settings: of the run; None of an encoder in a file.
        encoder: its network, in words.
        seed: of the random encoder beside it.
        lines: of metrics.jsonl, by step.
        machines: replicas and device that the run was trained on, one after the other; empty where
            none is noted.
        reports: of each stage, by step, one for each step.
        images_an_epoch: that the run learns from; 0 where they are not known.
        epochs_asked: at which the run has its end, by its flags; None of an encoder in a file, and
            where the run is looked at before its end on purpose.
        work: for an image of one step; None where it is not known.
        contents: part in the training, such as "training images" -> what tells its images from
            others of their name.
        versions: of the package and TensorFlow, by name; empty where none is noted.
    """

    name: str
    settings: PretrainSettings | None
    encoder: str
    seed: int
    lines: list[dict[str, Any]]
    machines: tuple[tuple[int, str], ...]
    reports: dict[Stage, list[Report]]
    images_an_epoch: int = 0
    epochs_asked: float | None = None
    work: EncoderWork | None = None
    contents: Protocol = dataclasses.field(default_factory=dict)
    versions: Protocol = dataclasses.field(default_factory=dict)

    @property
    def last_step(self) -> int:
        return self.lines[-1]["step"] if self.lines else 0

    @property
    def data(self) -> str:
        """Names the images that the run learns from; empty if no run did."""
        return _data_name(self.settings.data) if self.settings else ""

    def epoch(self, step: int) -> float:
        """Returns the epoch at a step, with the digits that lines have; 0 where not known."""
        return round(self.images(step) / self.images_an_epoch, 4) if self.images_an_epoch else 0.0

    @property
    def is_complete(self) -> bool:
        """Whether a run has come to its end; one without lines does not tell of any other."""
        if self.epochs_asked is None or not self.lines:
            return True
        # The steps of a run are rounded down: one more would go beyond the end.
        return self.epoch(self.last_step + 1) + _ROUNDED > self.epochs_asked

    def images(self, step: int) -> int:
        """Returns the images that a run has seen at a step, each as often as it came."""
        return step * self.settings.optimization.batch_size if self.settings else 0

    def flops(self, step: int) -> float:
        """Returns the floating-point operations up to a step; not a number where not known."""
        return float(self.images(step) * self.work.flops) if self.work else math.nan

    @property
    def device_seconds(self) -> float | None:
        """Seconds of all training steps times the replicas; None where they are not known.

        Steps that were not timed, the first after each start, are taken at the mean of the others.
        """
        timed = [line for line in self.lines if line.get("timed_steps")]
        # Seconds on several machines cannot be told apart later.
        if not timed or len(self.machines) != 1:
            return None
        last = timed[-1]
        replicas, _ = self.machines[0]
        return replicas * last["train_seconds"] / last["timed_steps"] * self.last_step


def report_paths(directory: Path) -> list[Path]:
    """The files of reports in the directory of a run."""
    return [path for pattern in _REPORTS for path in sorted(directory.glob(pattern))]


def read_runs(
    directories: Sequence[Path], left_out: Collection[Path] = (), by_place: bool = False
) -> list[Run]:
    """Reads runs, in the order given.

    A run is named by its directory, by the whole path where two directories end alike. Evaluations
    on different test images, or of another kind, are different stages, here and between runs.

    Args:
        directories: of the runs.
        left_out: files of reports that are not read.
        by_place: whether reports in several places are several stages, also those of unlike steps,
            which are else one curve.

    Raises:
        UserError: a directory is no run, or a file in it is damaged or of another kind.
    """
    names = [directory.resolve().name for directory in directories]
    found = _told_apart([_read_reports(directory, left_out) for directory in directories], by_place)
    return [
        _read_run(directory, name if names.count(name) == 1 else str(directory), reports)
        for directory, name, reports in zip(directories, names, found)
    ]


def earlier_figures(runs: Sequence[Run]) -> list[str]:
    """A line on each run before its end, and on all figures that are not of the last step."""
    earlier = [
        f"{run.name}: its {name} figures are of step {step}, its last step is {run.last_step}"
        for run in runs
        for name, step in last_steps(run).items()
        if step != run.last_step
    ]
    return [*unfinished(runs), *earlier]


def unfinished(runs: Sequence[Run]) -> list[str]:
    """A line on each run that stands before its end."""
    return [
        f"{run.name}: stands at {run.lines[-1]['epoch']:g} of its {run.epochs_asked:g} epochs"
        for run in runs
        if not run.is_complete
    ]


def last_steps(run: Run) -> dict[str, int]:
    """What has figures -> the step of the last ones."""
    steps = {stage.name: reports[-1]["step"] for stage, reports in run.reports.items()}
    looks = [line["step"] for line in run.lines if is_look(line)]
    return {**({"monitor": looks[-1]} if looks else {}), **steps}


def _told_apart(
    found: Sequence[Sequence[Found]], by_place: bool
) -> list[dict[Stage, list[Report]]]:
    """The reports of each run by stage, and of a stage by step.

    A stage of several data or kinds has them in its names. One of which a run has several reports
    at a step all the same has their places, such as linear and linear_augment; `by_place` one that
    has several places in any run.
    """
    data: dict[str, set[str]] = {}
    among: dict[tuple[str, str], list[Protocol]] = {}
    for stage, _, report in itertools.chain(*found):
        data.setdefault(stage.name, set()).add(stage.data)
        among.setdefault((stage.name, stage.data), []).append(protocol_of(report))

    def named(stage: Stage, report: Report) -> Stage:
        kind = kind_of(protocol_of(report), among[stage.name, stage.data])
        return named_by(stage, stage.data if len(data[stage.name]) > 1 else "", kind)

    counts = [Counter((named(stage, r), r["step"]) for stage, _, r in reports) for reports in found]
    several = {stage for count in counts for (stage, _), times in count.items() if times > 1}
    if by_place:
        places: dict[Stage, set[str]] = {}
        for stage, path, report in itertools.chain(*found):
            places.setdefault(named(stage, report), set()).add(_place(path))
        several |= {stage for stage, named_places in places.items() if len(named_places) > 1}
    runs = []
    for reports in found:
        by_stage: dict[Stage, list[Report]] = {}
        for stage, path, report in sorted(reports, key=lambda item: item[2]["step"]):
            stage = named(stage, report)
            if stage in several:
                stage = named_by_place(stage, _place(path))
            by_stage.setdefault(stage, []).append(report)
        runs.append(by_stage)
    return runs


def _place(path: Path) -> str:
    """What a user, or a study, has called a report: its file, or the directory of a training."""
    in_directory = any(Path(pattern).name == path.name for pattern in _REPORTS)
    return path.parent.name if in_directory else path.stem


def _data_name(data: DataSettings) -> str:
    if data.dataset == "scenes":
        objects = f" of {data.scene_objects}" if data.scene_objects else ""
        objects += f" on {data.scene_ground}" if data.scene_ground else ""
        return f"scenes{objects}:{data.split}, {data.scenes} of {data.scene_size} pixels"
    if data.has_splits:
        return f"{data.dataset or data.prepared}:{data.split}"
    return data.image_folder or data.tfrecord


def _read_reports(directory: Path, left_out: Collection[Path]) -> list[Found]:
    found: list[Found] = []
    for pattern, (needed, stage_of) in _REPORTS.items():
        for path in sorted(directory.glob(pattern)):
            if path in left_out:
                continue
            report = _read_report(path, *needed)
            if "detector" in needed:
                report = _with_known_figures(report)
            stage = dataclasses.replace(stage_of(report), data=str(report.get("test", "")))
            found.append((stage, path, report))
    return found


def _read_run(directory: Path, name: str, reports: dict[Stage, list[Report]]) -> Run:
    of_files = [r for found in reports.values() for r in found if "init_encoder" in r]
    if of_files and not (directory / FLAGS).exists():
        settings, seed = None, 0
        encoder = _network_of(of_files[0])
        _check_one_encoder(directory, of_files)
    else:
        settings = read_settings(directory)
        encoder, seed = settings.model.network, settings.run.seed
    lines = MetricsFile.read(directory / METRICS)
    path = directory / DATA
    data = read_json(path, dict, _REMEDY) if path.exists() else {}
    images = _images_an_epoch(data, settings, lines)
    path = directory / ENVIRONMENT
    environments = read_json(path, object, _REMEDY) if path.exists() else []
    return Run(
        name,
        settings,
        encoder,
        seed,
        lines,
        _machines(environments, path),
        reports,
        images,
        settings.optimization.epochs if settings else None,
        _read_work(directory / COMPUTE, settings, images),
        _contents(data, settings),
        _versions(environments),
    )


def _check_one_encoder(directory: Path, reports: Sequence[Report]) -> None:
    """Refuses reports of several encoders, which would make one row.

    Raises:
        UserError: names their files.
    """
    files = {r["trained"].get("encoder_sha256"): r["init_encoder"] for r in reports}
    if len(files) > 1:
        told = ", ".join(sorted(files.values()))
        raise UserError(
            f"{directory} has reports of {len(files)} encoders ({told}), which would be one row; "
            "give those of each a directory"
        )


def _images_an_epoch(
    data: Mapping[str, Any],
    settings: PretrainSettings | None,
    lines: Sequence[Mapping[str, Any]],
) -> int:
    """Returns the images that a run learns from, by its record or else by its last line; or 0."""
    training = data.get(TRAINING)
    if isinstance(training, dict) and isinstance(training.get("count"), int):
        return training["count"]
    last = lines[-1] if lines else {"epoch": 0}
    if settings is None or not last["epoch"]:
        return 0
    return round(last["step"] * settings.optimization.batch_size / last["epoch"])


def _read_work(path: Path, settings: PretrainSettings | None, images: int) -> EncoderWork | None:
    """Returns the work that a run has noted; of an older run that which its flags describe."""
    if path.exists():
        try:
            return read_work(read_json(path, object, _REMEDY))
        except (KeyError, TypeError):
            raise UserError(f"{path} tells no work of a run; remove it") from None
    if settings is None or not images:
        return None
    try:
        return work_of_settings(settings, images)
    except UserError:
        return None


def _network_of(report: Report) -> str:
    """The network of an encoder in a file; empty if a report does not tell it."""
    # The stride is left out where the depth has no bottlenecks.
    told = {k: report[k] for k in ("depth", "width", "stem", "stride_in_1x1") if k in report}
    return network_name(**told) if {"depth", "width", "stem"} <= told.keys() else ""


def _with_known_figures(report: Report) -> Report:
    """Returns a report without the figures that its images do not give, as AP of no object."""
    return {
        name: {key: x for key, x in value.items() if x is not None}
        if isinstance(value, dict)
        else value
        for name, value in report.items()
    }


def _machines(environments: Any, path: Path) -> tuple[tuple[int, str], ...]:
    """Each replicas and device of the environments of a run once, in the order of their starts.

    A CPU is told with its cores.
    """
    try:
        found = dict.fromkeys((entry["replicas"], _device(entry)) for entry in environments)
    except (KeyError, TypeError):
        found = {}
    if path.exists() and not found:
        raise UserError(f"{path} is no list of environments with device and replicas; remove it")
    return tuple(found)


def _device(environment: Mapping[str, Any]) -> str:
    device = environment["device"]
    has_cores = device == "CPU" and "cores" in environment  # those of 0.1.0 have not
    return f"{device} of {environment['cores']} cores" if has_cores else device


def _versions(environments: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The versions of the environments of a run, each once, in the order of its starts."""
    found = {name: dict.fromkeys(e[name] for e in environments if name in e) for name in _VERSIONS}
    return {name: ", then ".join(versions) for name, versions in found.items() if versions}


def _contents(data: Mapping[str, Any], settings: PretrainSettings | None) -> dict[str, str]:
    """What the record of a run's data tells of its images: names, number, classes and annotations.

    Annotations are the labels, the sizes of files and the boxes. Boxes at another place are meant
    to be others, and are told by that flag.
    """
    proposals = settings.data.proposals if settings is not None else ""
    boxes = f" with boxes in {proposals}" if proposals else ""
    found = {}
    for part, digest in data.items():
        if isinstance(digest, dict) and "sha256" in digest:
            found[f"{part} images"] = (
                f"{digest.get('count', '?')} of digest {str(digest['sha256'])[:12]}"
            )
            if "classes" in digest:
                found[f"{part} classes"] = str(digest["classes"])
            if "details" in digest:
                found[f"{part} annotations{boxes}"] = str(digest["details"])[:12]
    return found


def _read_report(path: Path, *needed: str) -> Report:
    """Reads a report that has its step, figures of the trained encoder, and what else is needed."""
    report = read_json(path, object, _REMEDY)
    needed = ("step", "trained", *needed)
    lacks = [name for name in needed if not isinstance(report, dict) or name not in report]
    if not lacks and not isinstance(report["step"], int):
        lacks = ["a step that is a number"]
    if not lacks:
        lacks = _lacking_figures(report)
    if lacks:
        raise UserError(
            f"{path} is no report of such an evaluation: it lacks {', '.join(lacks)}; remove it"
        )
    return report


def _lacking_figures(report: Report) -> list[str]:
    """Returns what the reports of the encoders lack."""
    lacks = []
    for name in ("trained", "random"):
        figures = report.get(name, {})
        if name in report and not (isinstance(figures, dict) and HEADINGS.keys() & figures.keys()):
            lacks.append(f"figures of the {name} encoder")
        elif name == "random" and name in report and "encoder_sha256" not in figures:
            lacks.append("encoder_sha256 of the random encoder")
    metric = report.get("metric")
    if not lacks and metric is not None and metric not in report["trained"]:
        lacks.append(f"{metric} of the trained encoder")
    return lacks
