"""The evaluations that tables and figures compare: their names, headings, places and figures."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from ssl_tf.evaluation.protocols import PROTOCOLS
from ssl_tf.evaluation.report_names import word

# Figures of `score_figures` -> their headings.
FIGURES = {"top1": "top-1", "top5": "top-5", "mean_per_class": "mean per class", "map": "mAP"}
# Those of a segmentation.
PIXEL_FIGURES = {
    "miou": "mIoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
}
# Those of a detection.
OBJECT_FIGURES = {
    "box_ap": "box AP",
    "box_ap50": "box AP50",
    "box_ap75": "box AP75",
    "box_aps": "box APs",
    "box_apm": "box APm",
    "box_apl": "box APl",
    "mask_ap": "mask AP",
    "mask_ap50": "mask AP50",
    "mask_ap75": "mask AP75",
    "mask_aps": "mask APs",
    "mask_apm": "mask APm",
    "mask_apl": "mask APl",
    "voc_ap": "VOC AP",
    "voc_ap50": "VOC AP50",
    "voc_ap75": "VOC AP75",
    "voc_ap50_all": "VOC AP50, all points",
}
HEADINGS = {**FIGURES, **PIXEL_FIGURES, **OBJECT_FIGURES}

_PROTOCOLS = {"linear": "linear", "finetune": "fine-tuned"}
_DATASETS = {protocol.dataset: name for name, protocol in PROTOCOLS.items()}
# A share of the labels by its name: 1pct is a percentage, 5000 is a number of labels.
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)(pct)?")


@dataclasses.dataclass(frozen=True)
class Stage:
    """One evaluation on one data set, whose reports can be compared between runs.

    Attributes:
        name: prefix of its columns, such as "linear", "finetune_1pct", "transfer_dtd_linear", or
            "detection_retinanet" beside other detectors (see `report_protocol.kind_of`).
        heading: of its columns.
        title: of its panel.
        position: place among the stages, ascending; a transfer stage comes last.
        figures: all that the CSV has.
        tabled: figures that the table shows.
        drawn: figures that have a panel.
        details: entries of an encoder's report that are columns without a heading.
        data: its test images, as reports tell them; empty where they do not, or the name does.
        named_by_data: name, heading and title tell the data, because the runs have several.
        plain: name without data and kind, where it has them (see `named_by`).
    """

    name: str
    heading: str
    title: str
    position: tuple[Any, ...]
    figures: tuple[str, ...] = tuple(FIGURES)
    tabled: tuple[str, ...] = tuple(FIGURES)
    drawn: tuple[str, ...] = ("top1", "map")
    details: tuple[str, ...] = ()
    data: str = ""
    named_by_data: bool = False
    plain: str = ""

    @property
    def is_knn(self) -> bool:
        return self.position[0] == KNN.position[0]


KNN = Stage("knn", "kNN", "k nearest neighbours", (0,))
LINEAR = Stage("linear", "linear", "linear classifier", (1,), details=("base_learning_rate",))


def named_by(stage: Stage, data: str, kind: Sequence[str]) -> Stage:
    """Returns the stage with data and kind in its names; unchanged where both are unknown."""
    told = ", ".join([data, *kind] if data else kind)
    if not told:
        return stage
    return dataclasses.replace(
        stage,
        name=f"{stage.name}_{word(told)}",
        heading=f"{stage.heading}, {told}:",
        title=f"{stage.title}, {told}",
        position=(*stage.position, told),
        named_by_data=bool(data),
        plain=stage.name,
    )


def named_by_place(stage: Stage, place: str) -> Stage:
    """Returns the stage with the place of its reports as its name; unchanged if that is its name.

    What its name tells of data and kind stays.

    Args:
        stage: of which a run has several reports at one step.
        place: of one of them, such as linear_augment.
    """
    plain = stage.plain or stage.name
    if place == plain:
        return stage
    return dataclasses.replace(
        stage,
        name=word(place) + stage.name.removeprefix(plain),
        plain=word(place) if stage.plain else "",
        heading=f"{stage.heading} ({place})",
        title=f"{stage.title} ({place})",
        position=(*stage.position, place),
    )


def fine_tuning(share: str) -> Stage:
    """Returns the stage of a share of the labels; empty: all labels.

    Percentages come first, then numbers of labels, then lists by name, all labels last.
    """
    amount = _AMOUNT.fullmatch(share)
    if not share:
        heading, title, position = "fine-tune", "fine-tuned on all labels", (3, 0.0)
    elif amount:
        labels = f"{amount[1]} %" if amount[2] else amount[1]
        heading, title = f"{labels} labels", f"fine-tuned on {labels} of the labels"
        if not amount[2]:
            title = f"fine-tuned on {heading}"
        position = (0 if amount[2] else 1, float(amount[1]))
    else:
        heading, title, position = f"labels {share}", f"fine-tuned on the labels {share}", (2, 0.0)
    return Stage(
        _of_share("finetune", share),
        heading,
        title,
        (2, *position, share),
        details=("base_learning_rate", "weight_decay"),
    )


def segmentation(share: str) -> Stage:
    """Returns the stage of a segmentation on a share of the labels; empty: all labels."""
    return Stage(
        _of_share("segmentation", share),
        _on_labels("segmentation", share),
        _on_labels("semantic segmentation", share),
        (4, share),
        figures=tuple(PIXEL_FIGURES),
        tabled=("miou",),
        drawn=("miou",),
        details=("train_loss",),
    )


def detection(share: str) -> Stage:
    """Returns the stage of a detection on a share of the labels; empty: all labels."""
    return Stage(
        _of_share("detection", share),
        _on_labels("detection", share),
        _on_labels("detection", share),
        (5, share),
        figures=tuple(OBJECT_FIGURES),
        tabled=("box_ap", "box_ap50", "box_ap75", "mask_ap", "voc_ap", "voc_ap50"),
        drawn=("box_ap", "mask_ap"),
        details=("train_loss",),
    )


def _of_share(name: str, share: str) -> str:
    return f"{name}_{share}" if share else name


def _on_labels(name: str, share: str) -> str:
    return f"{name}, {share.replace('pct', ' %')} of the labels" if share else name


def transfer(dataset: str, protocol: str, metric: str) -> Stage:
    """Returns the stage of a data set, by its name in TFDS; in the order of `PROTOCOLS`."""
    name = _DATASETS.get(dataset, dataset)
    known = PROTOCOLS.get(name)
    title = f"transfer to {known.title if known else name}, {_PROTOCOLS.get(protocol, protocol)}"
    linear = protocol == "linear"
    return Stage(
        f"transfer_{name}_{protocol}",
        title,
        title,
        (3, protocol != "linear", list(PROTOCOLS).index(name) if known else len(PROTOCOLS), name),
        tabled=(metric,),
        drawn=(metric,),
        details=("penalty",) if linear else ("base_learning_rate", "weight_decay"),
    )
