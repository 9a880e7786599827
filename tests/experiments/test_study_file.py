"""Study files: what they say, and what is wrong with them in one line."""

import pytest

from ssl_tf.errors import SettingsError
from ssl_tf.experiments.study_file import read_study
from tests.experiments.small_file import ARMS, HEAD, write


def stopping(figure):
    """A study with a rule that looks at a figure."""
    rule = f'[stop]\nfigure = "{figure}"\nseeds = 2\nerrors = 4\ndeviation = 1.0\n'
    return 'reference = "one"\n' + HEAD + ARMS + rule


@pytest.mark.parametrize("figure", ["linear_top1", "linear_1pct_map", "monitor_knn_top1"])
def test_a_rule_may_look_at_the_figures_of_the_stages(figure, tmp_path):
    assert read_study(str(write(tmp_path, stopping(figure)))).stop.figure == figure


def test_a_study_is_what_its_file_says(tmp_path):
    text = """
title = "What is
    asked"
seeds = [3, 1]
reference = "one"
stages = ["pretrain", "knn"]
rounds = [["two"], ["one"]]
[stop]
figure = "knn_top1"
seeds = 2
errors = 4
deviation = 1.0
[flags]
pretrain = "--epochs=20 --flagfile=common"
[arms.one]
[arms.two]
stages = ["shuffle", "pretrain", "linear_cifar10"]
pretrain = "--flagfile=own --tau=0.9"
""".replace("What is\n    asked", "What is asked")
    study = read_study(str(write(tmp_path, text)))
    assert (study.title, study.seeds, study.reference) == ("What is asked", (3, 1), "one")
    assert study.rounds == (("two",), ("one",))
    one, two = study.arms.values()
    # Flagfiles first, so that what is said of all arms counts.
    assert one.stages == ("pretrain", "knn")
    assert one.flags == {"pretrain": ("--flagfile=common", "--epochs=20"), "knn": ()}
    assert two.stages == ("shuffle", "pretrain", "linear_cifar10")
    flags = ("--flagfile=common", "--flagfile=own", "--epochs=20", "--tau=0.9")
    assert two.flags["pretrain"] == flags
    assert "beyond 4 standard errors" in str(study.stop) and "knn_top1" in str(study.stop)


def test_without_rounds_there_is_one_of_all_arms(tmp_path):
    study = read_study(str(write(tmp_path, HEAD + ARMS)))
    assert study.rounds == (("one", "two"),) and study.stop is None


def test_shipped_studies_are_found_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_study("studies/ma_ssrl_cifar10.toml").reference == "B2"


@pytest.mark.parametrize(
    "text, told",
    [
        (HEAD + ARMS + "[arms.one]\n", r"two arms are named one \(at line \d+"),
        (HEAD + "[arms\n", "at line 7"),
        (HEAD, "there is no arm"),
        (ARMS, r"seeds: give different numbers from 0 on, such as \[0, 1, 2\]"),
        (HEAD.replace("[0, 1]", "[0, 0]") + ARMS, "seeds: give different"),
        (HEAD.replace("[0, 1]", '["0"]') + ARMS, "seeds is no list of whole numbers"),
        ('reference = "three"\n' + HEAD + ARMS, "reference = 'three': no arm has this name"),
        ('rounds = [["one"]]\n' + HEAD + ARMS, "rounds: arm two is in none of them"),
        ('rounds = [["one", "two", "six"]]\n' + HEAD + ARMS, "no arm is named 'six'"),
        ('rounds = [["one"], ["two", "one"]]\n' + HEAD + ARMS, "arm one stands there twice"),
        ("sedes = [1]\n" + HEAD + ARMS, "the study: 'sedes' is unknown; it has arms, flags"),
        (HEAD + ARMS + 'pretain = ""\n', "arm two: 'pretain' is unknown"),
        (
            HEAD.replace("[flags]", '[flags]\npretrain_long = "--epochs=99"') + ARMS,
            "flags: 'pretrain_long' is unknown; it has linear, pretrain",
        ),
        (HEAD + ARMS + 'stages = ["train"]\n', "arm two: stage 'train' is unknown; .* pretrain"),
        (HEAD + ARMS + 'linear = "epochs=2"\n', "arm two: linear: 'epochs=2' is no --flag=value"),
        (HEAD + ARMS + "linear = '--epochs=\"2'\n", "arm two: linear: No closing quotation"),
        (HEAD + ARMS + "linear = 3\n", "arm two: linear: give its flags as one text"),
        (HEAD + '[arms."a b"]\n', "arm a b: its name needs letters"),
        (HEAD + "[arms.linear]\n", "arm linear: has the name of a stage"),
        (HEAD + "[arms.seed]\n", "arm seed: has the name of a stage, or that of the seed"),
        (
            HEAD + '[arms.knn_b]\nstages = ["pretrain", "knn_b"]\n',
            "arm knn_b: has the name of a stage",
        ),
        (HEAD + ARMS + 'stages = ["pretrain", "linear_a/b"]\n', "stage 'linear_a/b' is unknown"),
        (
            HEAD + ARMS + 'stages = ["pretrain_long"]\n',
            "stage 'pretrain_long': an arm has one pre-training, named pretrain; make another arm",
        ),
        *(
            (HEAD + ARMS + f"stages = {stages}\n", "stage 'linear' judges a run; put pretrain be")
            for stages in ('["linear", "pretrain"]', '["linear"]')
        ),
        ("reference = 0\n" + HEAD + ARMS, "reference is no text"),
        *(
            (
                stopping("linear_top1").replace("seeds = 2", f"seeds = {n}"),
                f"stop: seeds = {n}: give",
            )
            for n in ("1", "3", "inf", "2.0")
        ),
        (HEAD + ARMS + '[stop]\nfigure = "x"\n', "stop: looks at differences to an arm"),
        *(
            (stopping(figure), f"stop: figure = '{figure}': no stage of the reference 'one' has it")
            for figure in ("liner_top1", "linear_topp1", "finetune_top1", "pretrain_top1")
        ),
    ],
)
def test_what_is_no_study_is_one_line(text, told, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(SettingsError, match=told) as raised:
        read_study(str(path))
    assert f"--study={path}" in str(raised.value) and "\n" not in str(raised.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(SettingsError, match="no_such.toml cannot be read: No such file"):
        read_study(str(tmp_path / "no_such.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="binary.toml cannot be read: it is no text in UTF-8"):
        read_study(str(tmp_path / "binary.toml"))
