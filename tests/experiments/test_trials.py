"""The trials of a study: order, references, checks, and the shipped studies."""

from pathlib import Path

import pytest

from ssl_tf import study
from ssl_tf.errors import SettingsError
from ssl_tf.evaluation.report_names import RANDOM_ROW
from ssl_tf.experiments.records import (
    Record,
    check_flags,
    check_inputs,
    read_record,
    write_record,
)
from ssl_tf.experiments.study_file import read_study
from ssl_tf.experiments.trials import make_trials
from ssl_tf.settings import PretrainSettings, StudySettings, fields, flagfiles
from tests.experiments.small_file import ARMS, HEAD, trials_of

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "studies").iterdir())
LOOP = (
    HEAD
    + """
[arms.scene]
[arms.found]
stages = ["discover", "pretrain", "linear"]
discover = "--dataset=scenes --encoder={scene}"
pretrain = "--crops=object_object --proposals={discover}/proposals"
[arms.again]
stages = ["discover", "pretrain"]
discover = "--dataset=scenes --encoder={found}"
pretrain = "--crops=object_object --proposals={found.discover}/proposals --crop=full"
"""
)

STAGES_WITH_REPORTS = [
    "pretrain", "knn", "linear_b", "finetune_1pct", "transfer", "transfer_tuned", "segment",
    "detect_b",
]  # fmt: skip
FLAGS_OF_REPORTS = """
knn = "--dataset=scenes"
finetune_1pct = "--dataset=scenes --label_fraction=0.01"
transfer = "--suite=small --only=cifar10,mnist"
transfer_tuned = "--suite=small --only=mnist --protocol=finetune"
segment = "--dataset=scenes"
detect_b = "--dataset=scenes"
"""


def test_the_order_is_rounds_then_seeds_then_arms(tmp_path):
    text = 'rounds = [["two", "one"], ["three"]]\n' + HEAD + ARMS + "[arms.three]\n"
    _, trials = trials_of(tmp_path, text)
    assert [trial.name for trial in trials] == "two-0 one-0 two-1 one-1 three-0 three-1".split()


def test_commands_have_all_flags(tmp_path):
    _, trials = trials_of(tmp_path, HEAD + ARMS, "--extra=--epochs=11 --nonesterov", "--data_dir=D")
    two = next(trial for trial in trials if trial.name == "two-1")
    out = tmp_path / "out"
    pretrain, linear = two.steps
    # No TFDS is read, so --data_dir is left out; --nonesterov is of linear alone.
    assert pretrain.command == (
        "pretrain", "--dataset=scenes", "--epochs=20", "--method=byol", "--epochs=11",
        f"--run_dir={out}/runs/two-1", "--seed=1",
    )  # fmt: skip
    assert linear.command == (
        "linear", "--dataset=scenes", "--epochs=11", "--nonesterov",
        f"--checkpoint={out}/runs/two-1", f"--output={out}/runs/two-1/linear.json", "--seed=1",
    )  # fmt: skip
    assert linear.product == out / "runs" / "two-1" / "linear.json"
    assert pretrain.flags["method"] == "byol" and "seed" not in pretrain.flags


def test_stages_have_reports(tmp_path):
    text = HEAD.replace('["pretrain", "linear"]', str(STAGES_WITH_REPORTS).replace("'", '"'))
    text = text.replace("linear =", "linear_b =")
    _, (trial, _) = trials_of(tmp_path, text + FLAGS_OF_REPORTS + "[arms.one]\n")
    run = tmp_path / "out" / "runs" / "one-0"
    assert [[str(path.relative_to(run)) for path in step.reports] for step in trial.steps] == [
        [],
        ["knn.json"],
        ["linear_b.json"],
        ["finetune_1pct.json"],
        ["transfer/cifar10_linear.json", "transfer/mnist_linear.json"],
        ["transfer/mnist_finetune.json"],
        ["segment/segmentation.json"],
        ["detect_b/detection.json"],
    ]


def test_a_discovery_has_a_report_where_its_boxes_are_measured(tmp_path):
    measured = LOOP.replace("--encoder={scene}", "--encoder={scene} --boxes=ground_truth")
    reports = [
        next(t for t in trials_of(tmp_path, text)[1] if t.name == "found-1").steps[0].reports
        for text in (LOOP, measured)
    ]
    assert reports == [(), (tmp_path / "out" / "discover" / "found-1" / "metrics.json",)]


def test_references_are_paths_at_the_same_seed(tmp_path):
    _, trials = trials_of(tmp_path, LOOP)
    out = tmp_path / "out"
    found, again = (next(t for t in trials if t.name == name) for name in ("found-1", "again-1"))
    discover, pretrain, _ = found.steps
    assert f"--encoder={out}/runs/scene-1" in discover.command
    assert f"--output={out}/discover/found-1" in discover.command
    assert f"--proposals={out}/discover/found-1/proposals" in pretrain.command
    assert discover.needs == {("scene", "pretrain")} and pretrain.needs == set()
    assert discover.flags["encoder"] == "OUTPUT/runs/scene-1"
    assert again.steps[0].needs == {("found", "pretrain")}
    assert again.steps[1].needs == {("found", "discover")}


def test_two_stages_with_one_result_are_refused(tmp_path):
    small = 'transfer = "--suite=small --only=mnist --step=4"\n'
    text = HEAD + '[arms.bad]\nstages = ["pretrain", "transfer", "transfer_end"]\n' + small
    told = "arm bad: transfer and transfer_end would both be written to .*/mnist_linear.json"
    with pytest.raises(SettingsError, match=told):
        trials_of(tmp_path, text + 'transfer_end = "--suite=small"\n')
    both = text + 'transfer_end = "--suite=small --only=mnist --protocol=finetune"\n'
    assert len(trials_of(tmp_path, both)[1]) == 2


@pytest.mark.parametrize("output", [".", "out", "./out/", "../there/out"])
def test_paths_in_the_study_are_told_without_it_however_it_is_given(output, tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    arms = '[arms.one]\n[arms.two]\npretrain = "--init_from={one}"\n'
    _, trials = trials_of(tmp_path, HEAD + arms, f"--output={output}")
    (pretrain, _), *_ = (trial.steps for trial in trials if trial.arm == "two")
    assert pretrain.flags["init_from"] == "OUTPUT/runs/one-0"
    # As it was given, for runs that are begun know it so.
    place = Path.cwd() if output == "." else Path(output)
    assert f"--init_from={place / 'runs' / 'one-0'}" in pretrain.command


def test_data_of_a_later_stage_that_are_not_there_are_told_before_anything_runs(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "a,b").mkdir()

    def check(test):
        _, trials = trials_of(
            tmp_path,
            f"""
            seeds = [0]
            stages = ["pretrain", "knn"]
            [flags]
            pretrain = "--image_folder={tmp_path / "train"} --method=simsiam --recipe=moco"
            knn = "--image_folder={tmp_path / "train"} --test_image_folder='{test}'"
            [arms.one]
            """,
        )
        check_inputs(trials, tmp_path / "out")
        return trials

    with pytest.raises(
        SettingsError, match=f"arm one, knn: --test_image_folder={tmp_path}/tset does not exist"
    ):
        check(tmp_path / "tset")
    (trial,) = check(tmp_path / "a,b")
    check_inputs([trial], tmp_path / "out")
    with pytest.raises(SettingsError):
        check(tmp_path / "tset")
    assert trial.step("pretrain").inputs == {"image_folder": str(tmp_path / "train")}
    # The command asks, whatever it would do.
    for flags in ([], ["--dry_run"]):
        given = [f"--study={tmp_path / 'small.toml'}", f"--output={tmp_path / 'out'}", *flags]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ssl_tf.experiments.preview.preview", lambda *_: None)
            with pytest.raises(SettingsError, match="knn: --test_image_folder=.*tset does not ex"):
                study.main(flagfiles.parse(given, StudySettings))
        assert not (tmp_path / "out" / "runs").exists()
    # What is done needs them no more.
    write_record(tmp_path / "out", "one-0", Record({"pretrain": {}, "knn": {}}))
    trial.step("knn").reports[0].parent.mkdir(parents=True)
    trial.step("knn").reports[0].touch()
    check(tmp_path / "tset")


@pytest.mark.parametrize(
    "stage, flag",
    [
        ("pretrain", "--crops=object_object --proposals={place}"),
        ("pretrain", "--init_from={place}"),
        ("pretrain", "--init_encoder={place}"),
        ("knn", "--data_dir={place}"),
        ("finetune", "--data_dir= --labels_from={place}"),
        ("discover", "--encoder={place}"),
        ("segment", "--supervised={place}"),
    ],
)
def test_whatever_a_stage_reads_is_looked_for_first(stage, flag, tmp_path):
    name = flag.split("--")[-1].partition("=")[0]

    def check(place):
        text = f"""
            seeds = [0]
            stages = ["pretrain", "discover", "knn", "finetune", "segment"]
            [flags]
            pretrain = "--dataset=scenes"
            discover = "--dataset=scenes --encoder={{pretrain}}"
            knn = "--dataset=cifar10"
            finetune = "--dataset=cifar10"
            segment = "--dataset=scenes"
            [arms.one]
            {stage} = "{flag.format(place=place)}"
            """
        check_inputs(trials_of(tmp_path, text)[1], tmp_path / "out")

    there = tmp_path / "there"
    there.mkdir()
    check(there)
    with pytest.raises(SettingsError, match=f"arm one, {stage}: --{name}={tmp_path}/typo does not"):
        check(tmp_path / "typo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path))
        check("~/there")
    if name == "init_from":  # which a run that goes on does not read
        (tmp_path / "out/runs/one-0").mkdir(parents=True)
        check(tmp_path / "typo")
    if name == "encoder":
        check("vgg16 --encoder_weights=" + str(there))
    if name == "proposals":
        check("ground_truth")


def test_the_random_encoder_is_a_reference_where_a_stage_judges_it(tmp_path):
    text = f'reference = "{RANDOM_ROW}"\n' + HEAD + ARMS
    with pytest.raises(SettingsError, match="no stage judges it; give --random_baseline to one"):
        trials_of(tmp_path, text.replace('linear = "', 'linear = "--norandom_baseline '))
    assert trials_of(tmp_path, text.replace('linear = "', 'linear = "--random_baseline '))[1]


def test_arms_that_are_one_arm_twice_are_told(tmp_path, capsys):
    boxes = (
        HEAD
        + """
[arms.one]
stages = ["shuffle", "pretrain"]
shuffle = "--dataset=scenes --proposals=ground_truth"
pretrain = "--crops=object_object --proposals={shuffle}"
[arms.two]
stages = ["shuffle", "pretrain"]
shuffle = "--dataset=scenes --proposals=ground_truth"
pretrain = "--crops=object_object --proposals={shuffle} --flip=0.5"
"""
    )
    assert fields.as_dict(flagfiles.parse(["--dataset=scenes"], PretrainSettings))["flip"] == "0.5"
    trials_of(tmp_path, boxes)
    assert "arms one and two differ in no flag on which a result depends" in capsys.readouterr().err
    trials_of(tmp_path, boxes.replace("--flip=0.5", "--flip=0"))
    trials_of(tmp_path, HEAD + ARMS)
    assert "differ in no flag" not in capsys.readouterr().err


def test_arms_that_wait_for_each_other(tmp_path):
    text = (
        HEAD
        + """
[arms.one]
pretrain = "--init_from={two}"
[arms.two]
pretrain = "--init_from={three}"
[arms.three]
pretrain = "--init_from={one}"
"""
    )
    with pytest.raises(SettingsError, match="arms one, two, three wait for each other's results"):
        trials_of(tmp_path, text)


@pytest.mark.parametrize(
    "extra, told",
    [
        ("--queues=3", "a --flag=value that no stage reads"),
        ("--queue=300", "a --flag=value that no stage reads"),
        ("epochs=3", "no --flag=value"),
    ],
)
def test_an_extra_flag_that_no_stage_reads(extra, told, tmp_path):
    with pytest.raises(SettingsError, match=f"--extra: '{extra}' is {told}"):
        trials_of(tmp_path, HEAD + ARMS, f"--extra={extra}")


def test_what_a_stage_does_not_read_is_no_difference(tmp_path):
    _, (trial, *_) = trials_of(tmp_path, HEAD + ARMS)
    done = {step.name: {"flags": {**step.flags, "shuffle_mib": "64"}} for step in trial.steps}
    check_flags(Record(done=done), trial, tmp_path)


def test_a_study_does_not_go_on_with_other_flags(tmp_path):
    _, trials = trials_of(tmp_path, HEAD + ARMS)
    out = tmp_path / "out"
    done = {step.name: {"flags": dict(step.flags)} for step in trials[1].steps}
    write_record(out, trials[1].name, Record(done))
    for trial in trials:
        check_flags(read_record(out, trial.name), trial, out)
    # Flags on which no figure depends may change, and arms and seeds may be added.
    free = HEAD.replace("--epochs=20", "--epochs=20 --keep_checkpoints=1").replace("[0,", "[5, 0,")
    for trial in trials_of(tmp_path, free + ARMS + "[arms.three]\n")[1]:
        check_flags(read_record(out, trial.name), trial, out)
    other = trials_of(tmp_path, HEAD + ARMS.replace("byol", "simsiam"))[1]
    with pytest.raises(SettingsError, match="arm two, pretrain: seed 0 in .*byol there, simsiam"):
        check_flags(read_record(out, other[1].name), other[1], out)
    # Another machine trains it at this moment; an evaluation that was killed is made anew.
    begun = {"stage": "pretrain", "flags": dict(trials[1].steps[0].flags)}
    write_record(out, trials[1].name, Record(begun=begun))
    trials[1].run.mkdir(parents=True)
    check_flags(read_record(out, trials[1].name), trials[1], out)
    with pytest.raises(SettingsError, match="arm two, pretrain: seed 0 in .*byol there, simsiam"):
        check_flags(read_record(out, other[1].name), other[1], out)
    write_record(out, trials[1].name, Record(begun=begun | {"stage": "linear"}))
    check_flags(read_record(out, other[1].name), other[1], out)


def test_a_flag_that_is_younger_than_a_record_was_at_its_default(tmp_path):
    trial = trials_of(tmp_path, HEAD + ARMS)[1][0]
    flags = dict(trial.steps[0].flags)
    del flags["flip"]
    record = Record({"pretrain": {"flags": flags | {"gone": "7"}}})
    check_flags(record, trial, tmp_path)
    other = trials_of(
        tmp_path, HEAD + ARMS.replace("[arms.one]", "[arms.one]\npretrain='--flip=0'")
    )
    with pytest.raises(SettingsError, match=r"arm one, .*--flip=0.5 there, 0.0 here"):
        check_flags(record, other[1][0], tmp_path)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_shipped_studies_are_right(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    head = path.read_text().split("\n\n")[0]
    assert f"python -m ssl_tf.study --study=studies/{path.name}" in head
    given = [f"--study=studies/{path.name}", "--output=DIR", "--data_dir=DATA"]
    settings = flagfiles.parse(given, StudySettings)
    study = read_study(settings.study)
    trials = make_trials(study, settings)
    assert study.title and len(trials) == len(study.arms) * len(study.seeds)
    if study.reference == RANDOM_ROW:
        # Each seed has it once.
        baselines = [f for t in trials for s in t.steps for f in s.flags.items()]
        judged = len(study.arms[study.rounds[0][0]].stages) - 1
        assert baselines.count(("random_baseline", "true")) == judged * len(study.seeds)
    elif study.reference:
        assert study.rounds[0][0] == study.reference


def test_all_methods_on_cifar10_are_compared_and_get_as_many_trials():
    flagfiles_of = {path.stem.removeprefix("cifar10_") for path in ROOT.glob("configs/cifar10_*")}
    # Its eight views cost four times as much; studies/ma_ssrl_cifar10.toml compares such views.
    flagfiles_of.remove("ma_ssrl_authors")
    assert set(read_study("studies/cifar10_methods.toml").arms) == flagfiles_of
    tuned = read_study("studies/cifar10_tuning.toml")
    *trials, longer, further = tuned.rounds
    # Those with a predictor and a target.
    assert {name.split("_")[0] for name in further} == {"byol", "ma"}
    assert {len(names) for names in trials} == {6}
    assert {names[0] for names in trials} == flagfiles_of - {"supervised", "byol_paper"}
    assert {name.removesuffix("_ten") for name in longer} <= {name for x in trials for name in x}
