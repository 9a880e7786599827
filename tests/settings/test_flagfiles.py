import dataclasses

import pytest

from ssl_tf.errors import EXIT_FLAGS, SettingsError
from ssl_tf.settings import PretrainSettings, fields, flagfiles

GIVEN = ["--dataset=cifar10", "--crop_ratio=0.25,0.75", "--view_strategies=simclr,autoaugment"]


def test_a_flagfile_gives_the_same_settings_again(tmp_path):
    settings = flagfiles.parse([*GIVEN, "--weight_decay=1.5e-6", "--dry_run"], PretrainSettings)
    path = tmp_path / "flags.txt"
    flagfiles.write_flagfile(settings, path, comments=["a comment"])
    assert flagfiles.read_flagfile(path, PretrainSettings) == settings
    assert path.read_text().splitlines()[0] == "# a comment"
    assert settings.views.crop_ratio == (0.25, 0.75)
    assert settings.optimization.weight_decay == 1.5e-6


def test_a_later_flag_wins_over_the_flagfile(tmp_path):
    path = tmp_path / "x.flags"
    path.write_text("# recipe\n--dataset=cifar10\n--epochs=70\n")
    settings = flagfiles.parse([f"--flagfile={path}", "--epochs=30"], PretrainSettings)
    assert (settings.data.dataset, settings.optimization.epochs) == ("cifar10", 30.0)


def test_settings_are_frozen():
    settings = flagfiles.parse(GIVEN, PretrainSettings)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.run.seed = 3


def test_only_flags_that_bind_the_result_count_as_differences():
    one = flagfiles.parse([*GIVEN, "--run_dir=a"], PretrainSettings)
    two = flagfiles.parse([*GIVEN, "--run_dir=b", "--seed=4", "--epochs=90"], PretrainSettings)
    assert fields.result_differences(one, two) == {
        "seed": ("0", "4"),
        "epochs": ("300.0", "90.0"),
    }


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--crop_ratio=0,1"], "--crop_ratio=0.0: must be greater than 0"),
        (["--crop_ratio=0.5,1.5"], "--crop_ratio=1.5: must be at most 1"),
        (["--crop_ratio=0.9,0.5"], "--crop_ratio"),
        (["--crop_ratio=half,1"], "--crop_ratio=half,1"),
        (["--recipe=mocov9"], "choose one of ma_ssrl, byol, simclr"),
        (["--epochs=many"], "--epochs=many"),
        (["--epoch=3"], "'epoch'"),
        (["--depth=51"], "--depth=51"),
        (["--image_folder=x"], "--dataset and --image_folder"),
        (["--warmup_epochs=301"], "--warmup_epochs"),
        (["--compared_pairs=0:0"], "--compared_pairs"),
        (["--compared_pairs=0:2"], "--compared_pairs"),
        (["--view_strategies=simclr"], "--view_strategies"),
        (["--distinct_crops=3"], "--distinct_crops"),
        (["--optimizer=adamw"], "--base_learning_rate"),
        (["--level_scale=20"], "--level_scale=20: unknown; choose one of 10, 30"),
        (["--image_folder=x ", "--dataset="], "--image_folder='x ': a flagfile loses the blank at"),
        (["--flagfile=missing.flags"], "missing.flags"),
        (["stray"], "'stray'"),
    ],
)
def test_a_wrong_flag_is_one_line_that_names_it(arguments, told):
    with pytest.raises(SettingsError) as raised:
        flagfiles.parse(["--dataset=cifar10", *arguments], PretrainSettings)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == EXIT_FLAGS == 2


@pytest.mark.parametrize("value", ["caf\udce9", "a\nb", "a\rb", "a\x1bb"])
def test_a_value_that_a_flagfile_cannot_hold_is_one_line(value):
    for flag in ("--image_folder", "--run_dir"):
        with pytest.raises(SettingsError, match=f"^{flag}=.*text in UTF-8.*another name$") as e:
            flagfiles.parse(["--image_folder=x", f"{flag}={value}"], PretrainSettings)
        assert str(e.value).encode().isascii() and str(e.value).isprintable()


@pytest.mark.parametrize("value", ["café", "a b", "a\tb", "日本", "'\"\\"])
def test_every_other_value_comes_back_from_a_flagfile(value, tmp_path):
    settings = flagfiles.parse([f"--image_folder={value}"], PretrainSettings)
    flagfiles.write_flagfile(settings, tmp_path / "flags.txt")
    again = flagfiles.read_flagfile(tmp_path / "flags.txt", PretrainSettings)
    assert again == settings and again.data.image_folder == value


def test_no_data_at_all_is_an_error():
    with pytest.raises(SettingsError, match="--image_folder, --prepared or --tfrecord"):
        flagfiles.parse([], PretrainSettings)


@pytest.mark.parametrize(
    "flag, pairs",
    [
        ("all", ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))),
        ("0:1,2:3", ((0, 1), (2, 3))),
    ],
)
def test_pairs_of_four_views(flag, pairs):
    settings = flagfiles.parse(
        [
            "--dataset=x",
            "--view_strategies=simclr,simclr,autoaugment,autoaugment",
            f"--compared_pairs={flag}",
        ],
        PretrainSettings,
    )
    assert settings.views.pairs == pairs
