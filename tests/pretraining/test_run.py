"""The start of a pre-training run, before any image is read."""

import re

import pytest

from ssl_tf.data.proposals.format import ImageProposals, write_proposals
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.locks import exclusive
from ssl_tf.pretraining import run as pretraining_run
from ssl_tf.pretraining.run import run
from ssl_tf.settings import PretrainSettings, flagfiles
from ssl_tf.training.cluster import Cluster


def settings(directory, *flags):
    return flagfiles.parse(["--dataset=scenes", f"--run_dir={directory}", *flags], PretrainSettings)


def test_a_second_start_on_a_run_directory_is_refused(tmp_path):
    with exclusive(tmp_path / "run"), pytest.raises(UserError, match="run is in use by process"):
        run(settings(tmp_path / "run"))


def test_each_worker_of_a_cluster_is_refused_a_second_time(tmp_path, monkeypatch):
    for index, name in enumerate(["run.lock", "worker_1.lock"]):
        cluster = Cluster(("a:1", "b:1"), index)
        monkeypatch.setenv("TF_CONFIG", cluster.environment()["TF_CONFIG"])
        with exclusive(tmp_path / "run", name), pytest.raises(UserError, match="is in use by"):
            run(settings(tmp_path / "run"))
        assert not (tmp_path / "run" / "workers").exists()


@pytest.mark.parametrize("name", ["run[1]", "a\\b", "run\udcff"])
def test_a_name_that_checkpoints_cannot_have_is_refused_at_the_start(tmp_path, name):
    with pytest.raises(SettingsError, match="give another name"):
        run(settings(tmp_path / name))
    assert list(tmp_path.iterdir()) == []


def test_monitors_need_two_images(tmp_path):
    flags = ["--scenes=24", "--scene_size=16", "--image_size=16", "--holdout=1"]
    flags += ["--batch_size=8", "--epochs=1", "--warmup_epochs=0"]
    with pytest.raises(SettingsError, match="1 held out: .* give --holdout=2 or more"):
        run(settings(tmp_path / "r", *flags))
    assert not (tmp_path / "r" / "flags.txt").exists()


@pytest.mark.parametrize(
    "boxes, holdout, as_scenes",
    [("store", "0", True), ("store", "8", False), ("ground_truth", "0", False)],
)
def test_where_the_monitors_crop_is_told(tmp_path, monkeypatch, capsys, boxes, holdout, as_scenes):
    """A store has boxes of the training images alone, so other images keep scene crops."""
    images = [ImageProposals(f"scenes/train/{n}", [[0, 0, 0.5, 0.5]]) for n in range(24)]
    write_proposals(tmp_path / "store", images, generator="x", settings={})
    begun = []
    monkeypatch.setattr(pretraining_run, "_fit", lambda training, workers: begun.append(training))
    proposals = boxes if boxes == "ground_truth" else tmp_path / boxes
    flags = (
        "--scenes=24 --scene_size=16 --image_size=16 --depth=18 --width=0.0625 --stem=small "
        "--method=byol --recipe=byol --projector_hidden=8 --projection=4 --batch_size=8 "
        f"--epochs=1 --warmup_epochs=0 --crops=object_object --holdout={holdout}"
    ).split()
    run(settings(tmp_path / "r", *flags, f"--proposals={proposals}"))
    assert begun[0].as_scenes == as_scenes
    name = "scenes:train, 8 held out" if holdout == "8" else "scenes:test"
    crops = "scene crops, since .*store is of the training images; see --holdout"
    told = f"monitors: the views of {name} are {crops if as_scenes else 'object crops'}\n"
    assert re.search(told, capsys.readouterr().err)
