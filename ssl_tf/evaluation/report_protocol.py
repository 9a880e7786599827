"""Whether reports are comparable: the protocols that they record, and how these differ."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ssl_tf.settings import PretrainSettings, fields
from ssl_tf.settings.protocol import LEFT_OUT
from ssl_tf.training.report_entries import ANNOTATIONS, CONTENTS

Protocol = Mapping[str, str]

# Entries of a report that say what was done; older reports have no others. Where a flag has the
# same name, kNN's and fine-tuning's entries are what became of it: the k of few, a batch of all.
_ENTRIES = (
    "knn_k", "knn_temperature", "image_size", "holdout_rule", "batch_size", "epochs", "steps",
    "frozen_blocks", "trunk_rate_multiplier", "head", "output_stride", "crop_size", "detector",
    "masks", "canvas", "batch_norm", "frozen_stages", "sizes", "classes",
)  # fmt: skip
# Flags of a run on which kNN while training depends beside what is trained.
_MONITOR = (
    "image_size", "knn_k", "knn_temperature", "monitor_bank", "monitor_queries", "monitor_split",
    "holdout", "holdout_rule",
)  # fmt: skip
# The name of the train images and their number; how a share was drawn of them is a seed.
_TRAIN = re.compile(r"(?P<name>.*?)(, seed \d+)?, (?P<images>\d+) images$", re.DOTALL)
# Keys that make another evaluation of it, with columns of its own -> the words that name it.
_KINDS: dict[str, Callable[[str], str]] = {
    "detector": str,
    "head": str,
    "one_class": lambda text: "one class" if text == "true" else "all classes",
    "scene_size": "{} pixels".format,
    "train_images": "{} train images".format,
}


def protocol_of(report: Mapping[str, Any]) -> Protocol:
    """What was done to get the figures of a report, as far as it tells: name -> value as text."""
    recorded = report.get("protocol")
    if not isinstance(recorded, dict):  # that of a transfer is a word, beside its settings
        recorded = report.get("settings")
    flags = recorded if isinstance(recorded, dict) else {}
    known = {name: value for name, value in flags.items() if name not in LEFT_OUT}
    known |= {name: report[name] for name in _ENTRIES if name in report}
    for entry in (CONTENTS, ANNOTATIONS):
        known |= {f"{part}_{entry}": x for part, x in report.get(entry, {}).items()}
    data = report.get("data")  # of a transfer
    for part, digest in data.items() if isinstance(data, dict) else ():
        known |= {
            f"{part}_{entry}": digest[name][:12]
            for entry, name in ((CONTENTS, "sha256"), (ANNOTATIONS, "details"))
            if name in digest
        }
    train = _TRAIN.match(str(report.get("train", "")))
    if train:
        known |= {"train": train["name"], "train_images": train["images"]}
    return {name: fields.as_text(value) for name, value in known.items()}


def monitor_protocol(settings: PretrainSettings) -> Protocol:
    """What the flags of a run say of its kNN while training: name -> value as text."""
    unread = set(fields.unused(settings))
    if not settings.data.holdout:
        unread.add("holdout_rule")
    flags = fields.as_dict(settings)
    return {name: fields.as_text(flags[name]) for name in _MONITOR if name not in unread}


def differing(protocols: Iterable[Protocol]) -> list[str]:
    """The keys in which protocols differ; one that lacks a key, as older ones do, agrees."""
    found: dict[str, set[str]] = {}
    for protocol in protocols:
        for name, value in protocol.items():
            found.setdefault(name, set()).add(value)
    return [name for name, values in found.items() if len(values) > 1]


def kind_of(protocol: Protocol, among: Iterable[Protocol]) -> list[str]:
    """Words for what makes an evaluation another one than some of those that it is among."""
    keys = differing(among)
    return [told(protocol[key]) for key, told in _KINDS.items() if key in keys and key in protocol]


def told_differences(stage: str, protocols: Mapping[str, Protocol]) -> str:
    """A line that says in what figures of one column differ; empty if they do not.

    Args:
        stage: of the column.
        protocols: name of a run -> protocol of its figures.
    """
    parts = []
    for key in differing(protocols.values()):
        runs: dict[str, list[str]] = {}
        for name, protocol in protocols.items():
            if key in protocol:
                runs.setdefault(protocol[key], []).append(name)
        values = [f"{value or 'none'} ({', '.join(names)})" for value, names in runs.items()]
        parts.append(f"{key} {' and '.join(values)}")
    return f"{stage} figures differ in {'; '.join(parts)}" if parts else ""


def unlike_stages(rows: Sequence[Mapping[str, Protocol]]) -> dict[str, list[str]]:
    """Stages whose protocols differ between rows -> the keys in which they do.

    Args:
        rows: stage -> protocol of its figures, of each row.
    """
    stages = dict.fromkeys(stage for row in rows for stage in row)
    keys = {stage: differing(row[stage] for row in rows if stage in row) for stage in stages}
    return {stage: found for stage, found in keys.items() if found}
