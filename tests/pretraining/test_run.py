"""The start of a pre-training run, before any image is read."""

import dataclasses
import itertools
import re
import threading

import pytest
import tensorflow as tf
from PIL import Image

from ssl_tf.data.proposals.format import ImageProposals, write_proposals
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.files import write_json
from ssl_tf.locks import exclusive
from ssl_tf.networks import resnet
from ssl_tf.pretraining import opened_images
from ssl_tf.pretraining import run as pretraining_run
from ssl_tf.pretraining.run import run
from ssl_tf.settings import PretrainSettings, fields, flagfiles
from ssl_tf.training import environment
from ssl_tf.training.cluster import Cluster
from ssl_tf.training.data_record import digest_data
from ssl_tf.training.run_directory import with_library_of_run
from tests.data.opened import source_of
from tests.data.tiny_images import png, write_folder
from tests.two_blocks import TWO_BLOCKS


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


def told_beside_a_worker(directory, monkeypatch, given, **facts):
    """What the chief of two says beside a second worker with these facts."""
    cluster = Cluster(("a:1", "b:1"))
    monkeypatch.setenv("TF_CONFIG", cluster.environment()["TF_CONFIG"])
    # The replicas would wait for each other by TensorFlow's own means.
    monkeypatch.setattr(
        "ssl_tf.pretraining.run.make_strategy", lambda *_: tf.distribute.get_strategy()
    )

    done = threading.Event()

    def beat():
        for count in itertools.count():
            heartbeat = {"state": "running", "count": count, "facts": facts}
            write_json(directory / "workers" / "worker_1.json", heartbeat)
            if done.wait(0.1):
                return

    (directory / "workers").mkdir(parents=True)
    other = threading.Thread(target=beat)
    other.start()
    try:
        with pytest.raises(UserError) as raised:
            run(settings(directory, *given))
    finally:
        done.set()
        other.join()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def flags_of(directory, *flags):
    given = settings(directory, *flags)
    given = dataclasses.replace(given, views=with_library_of_run(given.views, directory))
    return {f"--{name}": value for name, value in fields.result_flags(given).items()}


def test_workers_with_other_flags_are_refused(tmp_path, monkeypatch):
    other = flags_of(tmp_path / "run", "--seed=1", "--base_learning_rate=5", "--keep_checkpoints=7")
    told = told_beside_a_worker(
        tmp_path / "run", monkeypatch, ["--base_learning_rate=0.5"], flags=other
    )
    assert told.startswith("worker 1 (b:1) has --")
    assert "--base_learning_rate '5.0', this worker '0.5'" in told
    assert "--seed '1', this worker '0'" in told and "all workers need the same command" in told
    assert "keep_checkpoints" not in told  # no result depends on it
    assert not (tmp_path / "run" / "flags.txt").exists()


def test_workers_with_other_images_are_refused(tmp_path, monkeypatch):
    """Two folders of the same name on two machines, with as many images."""
    sources = []
    for machine, name in enumerate(["a/3.png", "a/4.png"]):
        folder = tmp_path / f"machine_{machine}"
        for image in ("a/1.png", "a/2.png", name):
            (folder / image).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16)).save(folder / image)
        sources.append(source_of(image_folder=str(folder)))
    monkeypatch.setattr(opened_images, "open_training_source", lambda *_: (sources[0], None))
    monkeypatch.setattr(opened_images, "open_held_out", lambda *_: None)
    flags = ["--image_size=16"]
    other = dataclasses.asdict(digest_data(sources[1]))
    told = told_beside_a_worker(
        tmp_path / "run",
        monkeypatch,
        flags,
        flags=flags_of(tmp_path / "run", *flags),
        images={f"training images: {key}": value for key, value in other.items()},
    )
    assert "worker 1 (b:1) has training images: last 'a/4.png', this worker 'a/3.png'; " in told
    assert f"training images: sha256 '{other['sha256']}', this worker '" in told
    assert "count" not in told and "the same images" in told


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
    area = ("--crop_area=0.3,1",) if as_scenes else ()
    run(settings(tmp_path / "r", *flags, *area, f"--proposals={proposals}"))
    assert begun[0].images.as_scenes == as_scenes
    error = capsys.readouterr().err
    assert "crops cover 80% of a box or more (--smallest_area)\n" in error  # 0.2 / a quarter
    assert ("warning: --crop_area bounds the crops of images without a box" in error) == as_scenes
    name = "scenes:train, 8 held out" if holdout == "8" else "scenes:test"
    assert "on 1 replica(s), byol with views of byol, from scratch, in" in error
    crops = "scene crops, since .*store is of the training images; see --holdout"
    told = f"monitors: the views of {name} are {crops if as_scenes else 'object crops'}\n"
    assert re.search(told, error)


def test_regions_that_would_all_be_the_whole_image_are_refused(tmp_path):
    flags = (
        "--scenes=24 --scene_size=64 --image_size=48 --proposals=ground_truth --crops=object_object"
    )
    with pytest.raises(SettingsError, match="--min_crop=224: no image of scenes.* than 64 pixels"):
        run(settings(tmp_path / "r", *flags.split(), "--min_crop=224"))
    assert not (tmp_path / "r" / "flags.txt").exists()


@pytest.mark.parametrize("holdout, is_told", [(0, True), (8, False)])
def test_monitors_without_images_of_their_own_are_told(
    tmp_path, monkeypatch, capsys, holdout, is_told
):
    monkeypatch.setattr(pretraining_run, "_fit", lambda training, workers: None)
    write_folder(tmp_path / "images", {f"{name}.png": png(name) for name in range(24)})
    flags = (
        f"--image_folder={tmp_path}/images --image_size=16 --depth=18 --width=0.0625 --stem=small "
        "--method=byol --recipe=byol --projector_hidden=8 --projection=4 --batch_size=8 "
        f"--epochs=1 --warmup_epochs=0 --holdout={holdout} --run_dir={tmp_path}/r"
    )
    run(flagfiles.parse(flags.split(), PretrainSettings))
    told = "monitors: they look at training images, and there is no kNN; --holdout=N gives"
    assert (told in capsys.readouterr().err) == is_told


def test_other_images_for_the_monitors_are_told_and_other_training_images_refused(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(pretraining_run, "_fit", lambda training, workers: None)
    monkeypatch.setitem(resnet.DEPTHS, 18, TWO_BLOCKS)
    for part in ("train", "other"):
        for number in range(12):
            path = tmp_path / part / "a" / f"{part}{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), (number, 0, 0)).save(path)

    def start(folder, monitored):
        held_out = source_of(image_folder=str(tmp_path / monitored))
        monkeypatch.setattr(opened_images, "open_held_out", lambda *_: held_out)
        flags = (
            f"--dataset= --image_folder={tmp_path / folder} --image_size=16 --depth=18 "
            "--width=0.0625 --stem=small --method=simclr --recipe=simclr --projector_hidden=8 "
            "--projection=4 --batch_size=4 --epochs=1 --warmup_epochs=0"
        )
        run(settings(tmp_path / "r", *flags.split()))
        return capsys.readouterr().err

    told = "the images that the monitors look at are others than before"
    assert told not in start("train", "train")
    assert told in start("train", "other")
    assert told not in start("train", "other")
    (tmp_path / "train" / "a" / "train0.png").rename(tmp_path / "train" / "a" / "new.png")
    noted = (tmp_path / "r" / "environment.json").read_text()
    monkeypatch.setattr(environment, "environment", lambda replicas: {"replicas": 9})
    with pytest.raises(UserError, match="the training images are not those of the first start"):
        start("train", "other")
    # No step was taken here.
    assert (tmp_path / "r" / "environment.json").read_text() == noted
