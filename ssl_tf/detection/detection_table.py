"""The table of a detection: its rows, and those of the papers."""

from collections.abc import Mapping, Sequence
from typing import Any

from ssl_tf import markdown
from ssl_tf.detection.published import COCO, VOC

_COLUMNS = {
    "box_ap": "box AP",
    "box_ap50": "AP50",
    "box_ap75": "AP75",
    "box_aps": "APs",
    "box_apm": "APm",
    "box_apl": "APl",
    "mask_ap": "mask AP",
    "mask_ap50": "mask AP50",
    "mask_ap75": "mask AP75",
    "voc_ap": "VOC AP",
    "voc_ap50": "VOC AP50",
    "voc_ap75": "VOC AP75",
}


def told(figures: Mapping[str, Any]) -> str:
    """The figures of an encoder on one line, in percent."""
    known = {heading: figures.get(name) for name, heading in _COLUMNS.items()}
    return "  ".join(f"{heading} {100 * x:.1f}" for heading, x in known.items() if x is not None)


def table(
    results: Mapping[str, Mapping[str, Any]], is_voc: bool, data: str, remarks: Sequence[str]
) -> str:
    """The table in Markdown, figures in percent; a dash is a missing figure.

    Args:
        results: name of an encoder -> figures in [0, 1].
        is_voc: the images are VOC's.
        data: what the results are of, in words.
        remarks: on the protocol, that follow the table.
    """
    rows = [
        (name, {key: 100 * x for key, x in figures.items() if isinstance(x, float)}, data)
        for name, figures in results.items()
    ]
    rows += [(row.name, row.figures, row.source) for row in (VOC if is_voc else COCO)]
    shown = {key: title for key, title in _COLUMNS.items() if any(key in row[1] for row in rows)}
    lines = [
        [name, *(f"{figures[key]:.1f}" if key in figures else "-" for key in shown), source]
        for name, figures, source in rows
    ]
    text = markdown.table(["encoder", *shown.values(), "source"], lines)
    return text + "\n" + "".join(f"- {remark}\n" for remark in remarks)
