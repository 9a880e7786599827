"""`--auto`: looks at images and machine, and puts the flags it chooses before those given."""

import contextlib
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssl_tf.data.decoding import decode
from ssl_tf.data.source import IndexedSource, Source
from ssl_tf.data.sources.opening import open_held_out, open_split
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.pretraining.auto_rules import Choice, Facts, Values, choose
from ssl_tf.pretraining.machine import read_machine
from ssl_tf.settings import DataSettings, ModelSettings, PretrainSettings, fields, flagfiles
from ssl_tf.training.cluster import read_cluster
from ssl_tf.training.run_directory import FLAGS, read_settings, run_of
from ssl_tf.training.strategy import split_cpu

# Fewer images leave nothing to compare an image with.
FEWEST_IMAGES = 8
# Images whose size is looked at.
_SAMPLE = 64


def with_chosen(arguments: Sequence[str]) -> list[str]:
    """A command line whose flags are complete: what `--auto` chooses stands before what was given.

    The later flag counts, so a flag that was given always wins. An existing run keeps the flags
    that are written in its directory. The choice is printed on stderr as a flagfile.

    Args:
        arguments: with --auto, of `python -m ssl_tf.pretrain`.

    Raises:
        UserError: a flag is wrong, several machines take part, or there are too few images, or none
            that can be read.
    """
    given = flagfiles.given(arguments, PretrainSettings)
    directory = given.get("run_dir") or f"runs/{_name(given)}"
    flags = Path(directory) / FLAGS
    if flags.exists():
        print(f"--auto: the flags are those of {flags}", file=sys.stderr)
        chosen = fields.as_dict(read_settings(Path(directory)))
        return [*flagfiles.as_arguments(None, chosen), *arguments, "--noauto"]
    if read_cluster().workers > 1:
        # They connect before TensorFlow's first operation, and looking at images is one.
        raise SettingsError(
            "--auto: looks at the machine that it runs on, and here several take part; give "
            "--auto --dry_run on one of them alone, and its flags to all"
        )
    if "depth" in given:
        ModelSettings(depth=given["depth"])  # refuses one that no network has
    # First, because looking at images is an operation.
    if given.get("logical_cpus"):
        split_cpu(given["logical_cpus"])
    facts, name = look(given)
    network = {n: value for n, value in _network(given).items() if n not in given}
    choices = choose(facts, {**given, **network})
    if network:
        choices.insert(0, Choice(network, f"the network of --init_from={given['init_from']}"))
    if "run_dir" not in given:
        choices.insert(0, Choice({"run_dir": directory}, "named after the images"))
    print(_as_flagfile(choices, facts, name), file=sys.stderr)
    flags = {n: value for choice in choices for n, value in choice.flags.items()}
    return [*flagfiles.as_arguments(None, flags), *arguments, "--noauto"]


def look(given: Values) -> tuple[Facts, str]:
    """What is found in the images and on the machine, and the name of the source.

    Args:
        given: the flags of the command line, name -> value.
    """
    names = fields.names(DataSettings)
    data = flagfiles.from_keywords(DataSettings, **{n: x for n, x in given.items() if n in names})
    # The run opens the images again, and tells then what is to be told of them.
    with contextlib.redirect_stderr(io.StringIO()):
        source = open_split(data)
        test = None
        if not data.holdout:
            test = open_held_out(data, given.get("monitor_split", ""), source)
        sides = _short_sides(source)
    if data.holdout:
        source.hold_out(data.holdout)  # refuses to leave nothing
    if source.size < FEWEST_IMAGES:
        raise UserError(
            f"{source.name} holds {source.size} image{'s' * (source.size > 1)}: nothing is learned "
            f"from fewer than {FEWEST_IMAGES}, which are compared with each other; give more"
        )
    if not sides:
        raise UserError(
            f"{source.name}: none of {min(_SAMPLE, source.size)} images that were looked at can be "
            "read; mend or convert them"
        )
    facts = Facts(
        count=source.size,
        side=int(np.median(sides)),
        machine=read_machine(),
        labelled=bool(source.num_classes),
        has_test=test is not None,
    )
    return facts, source.name


def _network(given: Values) -> Values:
    """The flags of the network of --init_from, a run or one of its checkpoints; else none."""
    if not given.get("init_from"):
        return {}
    run = run_of(Path(given["init_from"]))
    return read_settings(run).model.network_flags if run else {}


def _short_sides(source: Source) -> list[int]:
    """The short sides of some images in pixels, without those that cannot be read."""
    count = min(_SAMPLE, source.size)
    source.unreadable.limit = count
    # Record files are read from the front: a shuffle would read far ahead.
    spread = isinstance(source, IndexedSource)
    records = source.stream(0, 0, count) if spread else source.sequence(0, count)
    decoded = records.map(lambda record: decode(record, source.unreadable))
    with source.reading():
        return [min(record["image"].shape[:2]) for record in decoded if record["readable"]]


def _name(given: Values) -> str:
    """The name of the run of these images."""
    place = given.get("image_folder") or given.get("prepared")
    place = place or str(Path(given.get("tfrecord") or "images/x").parent)
    name = given.get("dataset") or Path(place).resolve().name
    return re.sub(r"[^\w.-]+", "_", name).strip(".") or "images"


def _as_flagfile(choices: Sequence[Choice], facts: Facts, name: str) -> str:
    lines = [f"# --auto: {name}: {facts.count} images of {facts.side} pixels; {facts.machine}"]
    for flags, reason in choices:
        lines.append(f"# {reason}")
        lines += flagfiles.as_arguments(None, flags)
    return "\n".join(lines)
