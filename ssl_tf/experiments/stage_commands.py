"""The stages of which an arm is made: the package's commands, and where each leaves its result."""

import dataclasses
from collections.abc import Mapping

from ssl_tf.settings import (
    DetectSettings,
    DiscoverSettings,
    FineTuneSettings,
    KnnSettings,
    LinearSettings,
    PretrainSettings,
    SegmentSettings,
    ShuffleSettings,
    TransferSettings,
    fields,
)


@dataclasses.dataclass(frozen=True)
class Stage:
    """One of the package's commands.

    Attributes:
        command: behind `python -m ssl_tf.`.
        settings: the class of its flags.
        given: flags that the study gives, with {run}, the directory of the arm's pre-training, and
            {place}, that of the stage's result.
        place: of the result, below the output of the study, with {stage} and {trial}, the arm with
            its seed.
        product: what is written there last, so that it is there when the stage is complete; empty
            where the command itself is quick to say so.
        report: with the figures that tables show, by {place} and, in a suite, {dataset} and
            {protocol}; empty: it leaves none.
        column: first word of its columns in the table of the study; empty: it has none.
    """

    command: tuple[str, ...]
    settings: type
    given: Mapping[str, str]
    place: str
    product: str = ""
    report: str = ""
    column: str = ""


PRETRAIN, DISCOVER = "pretrain", "discover"
_RUN = "runs/{trial}"
_JUDGES = {"checkpoint": "{run}", "output": "{place}"}


def _one_report(command: str, settings: type) -> Stage:
    """A command that judges a run and leaves one file there, its report."""
    return Stage(
        command=(command,),
        settings=settings,
        given=_JUDGES,
        place=_RUN + "/{stage}.json",
        product="{place}",
        report="{place}",
        column=command,
    )


STAGES = {
    "shuffle": Stage(
        command=("proposals", "shuffle"),
        settings=ShuffleSettings,
        given={"output": "{place}"},
        place="{stage}/{trial}",
        product="{place}",
    ),
    DISCOVER: Stage(
        command=("discover",),
        settings=DiscoverSettings,
        given={"output": "{place}"},
        place="{stage}/{trial}",
        report="{place}/metrics.json",
        column="discover",
    ),
    PRETRAIN: Stage(
        command=("pretrain",),
        settings=PretrainSettings,
        given={"run_dir": "{place}"},
        place=_RUN,
        column="monitor",
    ),
    "knn": _one_report("knn", KnnSettings),
    "linear": _one_report("linear", LinearSettings),
    "finetune": _one_report("finetune", FineTuneSettings),
    "transfer": Stage(
        command=("transfer",),
        settings=TransferSettings,
        given={"checkpoint": "{run}"},
        place=_RUN + "/transfer",
        report="{place}/{dataset}_{protocol}.json",
        column="transfer",
    ),
    "segment": Stage(
        command=("segment",),
        settings=SegmentSettings,
        given=_JUDGES,
        place=_RUN + "/{stage}",
        product="{place}/segmentation.json",
        report="{place}/segmentation.json",
        column="segmentation",
    ),
    "detect": Stage(
        command=("detect",),
        settings=DetectSettings,
        given=_JUDGES,
        place=_RUN + "/{stage}",
        product="{place}/detection.md",
        report="{place}/detection.json",
        column="detection",
    ),
}


def stage_kind(name: str) -> str:
    """The first word of a stage's name, by which `STAGES` has it: linear of linear_cifar10."""
    return name.partition("_")[0]


def stage_of(name: str) -> Stage | None:
    """The stage that a name begins with; None if it is none."""
    return STAGES.get(stage_kind(name))


def default_flags(stage: str) -> dict[str, str]:
    """The values of a stage's flags that an older record lacks."""
    settings = stage_of(stage).settings
    values = fields.defaults(settings) | fields.before(settings)
    return {name: fields.as_text(value) for name, value in values.items()}
