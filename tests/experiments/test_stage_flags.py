"""The flags of the stages of a study: who gives them, and what is refused."""

import pytest

from ssl_tf.errors import SettingsError
from ssl_tf.settings import PretrainSettings, flagfiles
from tests.experiments.small_file import ARMS, HEAD, trials_of


def test_what_a_stage_says_of_reading_images_stands(tmp_path):
    text = HEAD + '[arms.one]\nlinear = "--dataset=cifar10 --data_dir=/other --max_bad_images=0"\n'
    _, (trial, _) = trials_of(tmp_path, text, "--data_dir=/data", "--max_bad_images=9")
    pretrain, linear = (" ".join(step.command) for step in trial.steps)
    assert "--max_bad_images=9" in pretrain
    assert "--data_dir=/other" in linear and "/data" not in linear
    assert "--max_bad_images=0" in linear and "--max_bad_images=9" not in linear


@pytest.mark.parametrize(
    "arm, told",
    [
        ('pretrain = "--epohcs=3"', "arm bad, pretrain: Unknown command line flag 'epohcs'"),
        ('pretrain = "--epochs=0"', "arm bad, pretrain: --epochs=0.0: must be greater than 0"),
        (
            'pretrain = "--flagfile=gone.flags"',
            "arm bad, pretrain: --flagfile=gone.flags cannot",
        ),
        ('pretrain = "--method=simclr --tau=0.5"', "arm bad, pretrain: --tau=0.5: has no effect"),
        ('linear = "--tau=0.5"', "arm bad, linear: Unknown command line flag 'tau'"),
        (
            'pretrain = "--init_from={scen}"',
            r"arm bad, pretrain: \{scen\} is unknown; give",
        ),
        ('pretrain = "--init_from={linear}"', r"arm bad, pretrain: \{linear\} is unknown"),
        ('pretrain = "--init_from={bad}"', r"arm bad, pretrain: \{bad\} is unknown"),
        ('pretrain = "--init_from={one.knn}"', r"arm bad, pretrain: \{one.knn\} is unknown"),
        ('pretrain = "--seed=7"', "arm bad, pretrain: --seed=7 would change nothing: the study"),
        ('pretrain = "--run_dir=x"', "arm bad, pretrain: --run_dir=x would change nothing"),
        ('linear = "--checkpoint={one}"', "arm bad, linear: --checkpoint=.* would change nothing"),
        ('linear = "--output=x.json"', "arm bad, linear: --output=x.json would change nothing"),
        ('pretrain = "--dry_run"', "arm bad, pretrain: --dry_run: the stage would leave no result"),
        ('pretrain = "--auto"', "arm bad, pretrain: --auto: each machine would choose flags"),
    ],
)
def test_a_wrong_arm_is_one_line_before_anything_runs(arm, told, tmp_path):
    with pytest.raises(SettingsError, match=told) as raised:
        trials_of(tmp_path, HEAD + "[arms.one]\n[arms.bad]\n" + arm)
    assert "\n" not in str(raised.value) and not (tmp_path / "out").exists()


def test_what_a_new_run_is_refused_for_is_told_before_anything_runs(tmp_path):
    never = 'pretrain = "--method=dino --teacher_temperature_epochs=20"\n'
    text = HEAD + "[arms.one]\n[arms.bad]\n" + never
    told = "arm bad, pretrain: --teacher_temperature_epochs=20.0: does not end within the run"
    with pytest.raises(SettingsError, match=told):
        trials_of(tmp_path, text)
    # A table of what is done needs no new run, and runs of earlier versions go on.
    assert len(trials_of(tmp_path, text, "--report")[1]) == 4
    for seed in (0, 1):
        run = tmp_path / "out" / "runs" / f"bad-{seed}"
        run.mkdir(parents=True)
        given = ["--dataset=scenes", "--epochs=20", "--method=dino", f"--seed={seed}"]
        settings = flagfiles.parse([*given, "--teacher_temperature_epochs=20"], PretrainSettings)
        flagfiles.write_flagfile(settings, run / "flags.txt")
    assert len(trials_of(tmp_path, text)[1]) == 4


def test_an_extra_flag_goes_where_it_is_read_and_may_take_back_one(tmp_path):
    text = HEAD + ARMS.replace("--method=byol", "--method=moco --queue=512")
    _, trials = trials_of(tmp_path, text, "--extra=--queue=256")
    read = {trial.arm for trial in trials for step in trial.steps if "--queue=256" in step.command}
    assert read == {"two"}
    _, trials = trials_of(tmp_path, text, "--extra=--method=byol --queue=65536")
    methods = {step.flags["method"] for trial in trials for step in trial.steps[:1]}
    assert methods == {"byol"}


def test_of_repeated_extra_flags_the_last_counts(tmp_path):
    extra = "--extra=--epochs=14 --epochs=15 --epochs=14"
    _, trials = trials_of(tmp_path, HEAD + ARMS, extra)
    assert {step.flags["epochs"] for trial in trials for step in trial.steps} == {"14.0"}


def test_an_extra_flag_that_the_study_gives_itself(tmp_path):
    with pytest.raises(SettingsError, match="arm one, pretrain: --seed=3 would change nothing"):
        trials_of(tmp_path, HEAD + ARMS, "--extra=--seed=3")
