"""Study files of tests."""

from ssl_tf.experiments.study_file import read_study
from ssl_tf.experiments.trials import make_trials
from ssl_tf.settings import StudySettings, flagfiles

HEAD = """
seeds = [0, 1]
stages = ["pretrain", "linear"]
[flags]
pretrain = "--dataset=scenes --epochs=20"
linear = "--dataset=scenes"
"""
ARMS = """
[arms.one]
[arms.two]
pretrain = "--method=byol"
"""
THREE_ARMS = (
    """
title = "Three arms"
reference = "base"
"""
    + HEAD.replace("[0, 1]", "[0, 1, 2]").replace("--epochs=20", "--epochs=2 --warmup_epochs=0")
    + """
[arms.base]
[arms.near]
[arms.far]
stages = ["discover", "pretrain", "linear"]
discover = "--dataset=scenes --encoder={base} --discoverer=ncut --boxes=ground_truth"
[stop]
figure = "linear_top1"
seeds = 2
errors = 4
deviation = 1.0
"""
)


def write(directory, text, name="small.toml"):
    path = directory / name
    # Processes that share the directory read it meanwhile.
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def trials_of(directory, text, *flags):
    """The study of a text, and its trials; the output is a directory beside the file."""
    path = write(directory, text)
    given = [f"--study={path}", f"--output={directory / 'out'}", *flags]
    settings = flagfiles.parse(given, StudySettings)
    study = read_study(settings.study)
    return study, make_trials(study, settings)
