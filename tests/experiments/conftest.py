"""A study of three arms, two of whose three seeds are done, from runs written by hand."""

import json

import pytest

from ssl_tf.experiments.records import Record, write_record
from ssl_tf.settings import PretrainSettings, flagfiles
from tests.evaluation.test_run_table import write_run
from tests.evaluation.test_seed_rows import WORK
from tests.experiments.small_file import THREE_ARMS, trials_of

FIGURES = {"base": (0.40, 0.42), "near": (0.41, 0.44), "far": (0.50, 0.53)}


@pytest.fixture
def study(tmp_path):
    """A study whose first two seeds are done."""
    study, trials = trials_of(tmp_path, THREE_ARMS)
    out = tmp_path / "out"
    for trial in trials:
        if trial.seed > 1:
            continue
        value = FIGURES[trial.arm][trial.seed]
        write_run(trial.run, f"--seed={trial.seed}", probes=[(20, {"top1": value})])
        (pretrain,) = [step for step in trial.steps if step.name == "pretrain"]
        settings = flagfiles.parse(pretrain.command[1:], PretrainSettings)
        flagfiles.write_flagfile(settings, trial.run / "flags.txt")
        (trial.run / "linear_20.json").rename(trial.run / "linear.json")
        (trial.run / "compute.json").write_text(json.dumps(WORK))
        done = {step.name: {"flags": dict(step.flags)} for step in trial.steps}
        write_record(out, trial.name, Record(done))
        if trial.arm == "far":
            boxes = {"corloc": 0.25 + trial.seed / 4, "detection_rate": 0.5, "odap50": 0.125}
            place = out / "discover" / trial.name
            place.mkdir(parents=True)
            (place / "metrics.json").write_text(json.dumps({"images": 4, "ncut": boxes}))
    return study, trials, out
