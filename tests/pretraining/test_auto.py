"""`--auto` on folders: what is looked at, what is printed, what a later start keeps."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import ssl_tf
from ssl_tf import pretrain
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.pretraining import auto, machine
from ssl_tf.pretraining.machine import Machine
from ssl_tf.settings import PretrainSettings, fields, flagfiles
from ssl_tf.training.cluster import Cluster
from ssl_tf.training.strategy import split_cpu


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(auto, "read_machine", lambda: Machine(2, 8.0))


@pytest.fixture
def folder(tmp_path):
    """Forty images: 30 of 100x50 pixels, 9 of 300x200, and one that is none."""
    folder = tmp_path / "my photos"
    folder.mkdir()
    for number in range(39):
        size = (100, 50) if number < 30 else (300, 200)
        Image.new("RGB", size, (number, 0, 0)).save(folder / f"{number}.png")
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def test_the_choice_is_printed_as_a_flagfile(folder, tmp_path, capsys):
    arguments = [f"--image_folder={folder}", "--auto"]
    complete = pretrain.with_chosen(arguments)
    told = capsys.readouterr().err
    assert f"# --auto: folder {folder}: 40 images of 50 pixels; 2 core(s), 8 GiB of memory" in told
    printed = tmp_path / "printed.flags"
    printed.write_text(told)
    settings = flagfiles.parse(complete, PretrainSettings)
    again = flagfiles.parse([f"--flagfile={printed}", arguments[0]], PretrainSettings)
    assert again == settings and not settings.run.auto
    assert settings.run.run_dir == "runs/my_photos"
    assert (settings.views.image_size, settings.data.holdout) == (48, 8)
    # Each flag has its reason above it.
    lines = told.splitlines()
    assert (
        all(line.startswith(("# ", "--")) for line in lines) and lines.count("# at each look") == 1
    )


def test_a_flag_that_is_given_wins_wherever_it_stands(folder, tmp_path):
    (tmp_path / "some.flags").write_text("--epochs=7\n")
    given = ["--auto", f"--image_folder={folder}", "--flagfile=some.flags", "--run_dir=there"]
    settings = flagfiles.parse(pretrain.with_chosen(given), PretrainSettings)
    assert (settings.optimization.epochs, settings.run.run_dir) == (7, "there")
    made = ssl_tf.pretrain_settings("some.flags", image_folder=folder, auto=True, run_dir="there")
    assert made == settings


def test_without_the_flag_nothing_is_chosen(folder):
    given = [f"--image_folder={folder}", "--epochs=20"]
    assert pretrain.with_chosen(given) == given
    assert pretrain.with_chosen([*given, "--auto", "--noauto"]) == [*given, "--auto", "--noauto"]


def test_a_later_start_keeps_the_written_flags(folder, monkeypatch, capsys):
    given = [f"--image_folder={folder}", "--auto"]
    settings = flagfiles.parse(pretrain.with_chosen(given), PretrainSettings)
    run = folder.parent / settings.run.run_dir
    run.mkdir(parents=True)
    flagfiles.write_flagfile(settings, run / "flags.txt")
    # Another machine would choose other flags, and so would more images.
    monkeypatch.setattr(auto, "read_machine", lambda: Machine(96, 512.0, 8, 80.0))
    Image.new("RGB", (800, 600)).save(folder / "more.png")
    capsys.readouterr()
    assert flagfiles.parse(pretrain.with_chosen(given), PretrainSettings) == settings
    assert capsys.readouterr().err == "--auto: the flags are those of runs/my_photos/flags.txt\n"
    other = flagfiles.parse(pretrain.with_chosen([*given, "--seed=3"]), PretrainSettings)
    assert fields.result_differences(settings, other) == {"seed": ("0", "3")}


@pytest.mark.parametrize(
    "names, told",
    [
        ([], "holds no image"),
        (["a.png"], "holds 1 image: nothing is learned from fewer than 8"),
        ([f"{n}.png" for n in range(7)], "holds 7 images: nothing"),
    ],
)
def test_too_few_images_are_one_line(names, told, tmp_path):
    folder = tmp_path / "few"
    folder.mkdir()
    for name in names:
        Image.new("RGB", (64, 64)).save(folder / name)
    with pytest.raises(UserError, match=told) as raised:
        pretrain.with_chosen([f"--image_folder={folder}", "--auto"])
    assert "\n" not in str(raised.value)


def test_only_unreadable_files_are_one_line(tmp_path):
    for number in range(20):
        (tmp_path / f"{number}.jpg").write_bytes(b"\xff\xd8\xff" + bytes(range(40)))
    with pytest.raises(UserError, match="none of 20 images that were looked at can be read"):
        pretrain.with_chosen([f"--image_folder={tmp_path}", "--auto"])


@pytest.mark.parametrize(
    "flag, told",
    [
        ("--batch_size=0", "--batch_size=0: must be at least"),
        ("--image_size=0", "--image_size=0: must be at least"),
        ("--method=foo", "--method=foo: unknown; choose one of"),
        ("--depth=42", "--depth=42: choose 18, 34"),
        ("--holdout=40", "cannot hold 40 examples out of the 40"),
    ],
)
def test_a_given_flag_that_cannot_be_is_one_line(folder, flag, told):
    with pytest.raises(SettingsError, match=told):
        pretrain.with_chosen([f"--image_folder={folder}", "--auto", flag])


def test_several_machines_are_told_to_choose_on_one(folder, monkeypatch):
    monkeypatch.setattr(auto, "read_cluster", lambda: Cluster(("a:1", "b:1")))
    with pytest.raises(SettingsError, match="--auto --dry_run on one of them"):
        pretrain.with_chosen([f"--image_folder={folder}", "--auto"])


def test_the_devices_can_be_set_up_after_the_look_at_the_images(folder):
    # Of a process of its own: devices are set up before TensorFlow's first operation.
    flags = [f"--image_folder={folder}", "--auto", "--logical_cpus=2", "--dry_run"]
    command = [sys.executable, "-m", "ssl_tf.pretrain", *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "replicas here     2" in done.stdout and "goes on" not in done.stdout
    # A GPU takes its memory as needed, whatever touches it first.
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


def test_a_cpu_in_use_is_split_no_more():
    tf.constant(0.0) + 1
    with pytest.raises(SettingsError, match="--logical_cpus=64: TensorFlow uses the CPU"):
        split_cpu(64)


def test_other_sources_are_looked_at_too():
    facts, _ = auto.look({"dataset": "scenes", "scenes": 64, "scene_size": 40})
    expected = dict(count=64, side=40, labelled=True, has_test=True)
    found = dataclasses.asdict(facts)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("command", ["ViewsReportSettings", "InputBenchmarkSettings"])
def test_other_commands_choose_nothing(command):
    from ssl_tf import settings

    flags = ["--dataset=scenes", "--auto", *(["--output=x"] if "Report" in command else [])]
    with pytest.raises(SettingsError, match="--auto=true: has no effect"):
        flagfiles.parse(flags, getattr(settings, command))


def test_the_machine_is_this_one(monkeypatch, tmp_path):
    found = machine.read_machine()
    assert found.cores >= 1 and found.gpus >= 0 and 0.1 < found.memory < 1e5
    limit = tmp_path / "memory.max"
    limit.write_text("268435456\n")
    monkeypatch.setattr(machine, "_LIMITS", (str(limit), str(tmp_path / "absent")))
    assert machine.read_machine().memory == 0.25
    limit.write_text("max\n")
    assert machine.read_machine().memory > 0.25


def test_the_memory_of_gpus_is_asked_of_their_driver(monkeypatch, tmp_path):
    driver = tmp_path / "nvidia-smi"
    driver.write_text(
        "#!/bin/sh\nprintf '81920, NVIDIA H100\\n40960, NVIDIA A100\\n4096, NVIDIA T400 4GB\\n'\n"
    )
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda gpu: {"device_name": gpu}
    )
    assert machine._gpu_gib(["NVIDIA H100", "NVIDIA A100"]) == 40.0
    # The card of the display is hidden from the run, and one that nobody knows is any of them.
    assert machine._gpu_gib(["NVIDIA H100"]) == 80.0
    assert machine._gpu_gib(["a card"]) == 4.0
    driver.write_text("#!/bin/sh\nexit 9\n")
    assert machine._gpu_gib(["NVIDIA H100"]) == 8.0


def test_median_sides(folder):
    from tests.data.opened import source_of

    sides = list(auto._short_sides(source_of(image_folder=str(folder))))
    assert sorted(sides) == [50] * 30 + [200] * 9 and np.median(sides) == 50


def test_the_network_is_that_of_the_run_that_it_begins_from(folder, tmp_path, capsys):
    run = tmp_path / "before"
    (run / "checkpoints/step_00000005").mkdir(parents=True)
    flags = ["--dataset=scenes", "--depth=34", "--width=0.25", "--stem=small"]
    flagfiles.write_flagfile(flagfiles.parse(flags, PretrainSettings), run / "flags.txt")
    for start in (run, run / "checkpoints/step_00000005"):
        given = [f"--image_folder={folder}", "--auto", f"--init_from={start}", "--width=0.5"]
        model = flagfiles.parse(pretrain.with_chosen(given), PretrainSettings).model
        assert (model.depth, model.width, model.stem) == (34, 0.5, "small")
        assert f"# the network of --init_from={start}\n--depth=34\n" in capsys.readouterr().err
