"""Results do not lie among the images that a command reads."""

import pytest

import ssl_tf
from ssl_tf import command
from ssl_tf.errors import SettingsError
from ssl_tf.settings import (
    DetectSettings,
    FineTuneSettings,
    KnnSettings,
    LinearSettings,
    PretrainSettings,
    SegmentSettings,
    ViewsReportSettings,
)

_PRETRAIN = ("--image_folder={}",)
_RUN = ("--checkpoint=run", "--image_folder={}")
_TEST = ("--checkpoint=run", "--image_folder=other", "--test_image_folder={}")
_MAPS = ("--image_folder={}", "--label_maps=maps", "--holdout=4", "--checkpoint=run")
_OBJECTS = ("--image_folder={}", "--coco_json=a.json", "--holdout=4", "--checkpoint=run")
CASES = {
    "pretrain": (PretrainSettings, "run_dir", _PRETRAIN),
    "views_report": (ViewsReportSettings, "output", _PRETRAIN),
    "knn": (KnnSettings, "output", _TEST),
    "linear": (LinearSettings, "output", _TEST),
    "finetune": (FineTuneSettings, "output", _TEST),
    "segment": (SegmentSettings, "output", _MAPS),
    "detect": (DetectSettings, "output", _OBJECTS),
}


@pytest.mark.parametrize("name", CASES)
def test_results_among_the_images_that_are_read_are_refused(name, tmp_path, capsys):
    settings, flag, given = CASES[name]
    (tmp_path / "images").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "images")
    flags = [text.format(tmp_path / "images") for text in given]
    with pytest.raises(SystemExit) as ended:
        command.run(_not_reached, settings, [*flags, f"--{flag}={tmp_path}/link/class/results"])
    told = capsys.readouterr().err
    assert ended.value.code == 2 and told.count("\n") == 1
    assert f"--{flag}={tmp_path}/link/class/results lies in --" in told


def test_results_beside_the_images_are_taken(tmp_path):
    found = []
    flags = f"--image_folder={tmp_path}/images", f"--run_dir={tmp_path}/images_run"
    command.run(found.append, PretrainSettings, flags)
    assert found[0].run.run_dir == f"{tmp_path}/images_run"


def test_a_run_among_its_images_goes_on(tmp_path):
    found, run = [], tmp_path / "run"
    run.mkdir()
    flags = f"--image_folder={tmp_path}", f"--run_dir={run}"
    (run / "flags.txt").write_text("\n".join(flags))
    command.run(found.append, PretrainSettings, flags)
    assert found[0].run.run_dir == str(run)


def _not_reached(settings):
    raise AssertionError(settings)


def test_the_function_refuses_what_the_command_does(tmp_path):
    (tmp_path / "images").mkdir()
    settings = ssl_tf.pretrain_settings(
        image_folder=str(tmp_path / "images"), run_dir=str(tmp_path / "images" / "run")
    )
    with pytest.raises(SettingsError, match="lies in --image_folder"):
        ssl_tf.pretrain(settings)
    assert not any((tmp_path / "images").iterdir())
