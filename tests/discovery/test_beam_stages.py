"""All processes and all starts of a discovery look through one encoder."""

import json
import shutil

import numpy as np
import pytest

from ssl_tf.discovery import run
from ssl_tf.errors import UserError
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import DiscoverSettings, ModelSettings, PretrainSettings, flagfiles
from ssl_tf.training.checkpoints import Checkpoints


def save(directory, step, seed):
    """A checkpoint of a step, with weights of their own."""
    encoder = build_encoder(ModelSettings(depth=18, width=0.125), seed=seed)
    Checkpoints(directory / "checkpoints", 9, encoder=encoder).save(step)


@pytest.fixture
def training(tmp_path):
    """The directory of a run that is at step 4."""
    directory = tmp_path / "run"
    directory.mkdir()
    flags = "--dataset=scenes --depth=18 --width=0.125".split()
    flagfiles.write_flagfile(flagfiles.parse(flags, PretrainSettings), directory / "flags.txt")
    save(directory, 4, seed=4)
    return directory


def discover(encoder, output, *flags):
    """The scores of the regions of each of two shards."""
    given = (
        "--dataset=scenes --scenes=4 --scene_size=64 --discoverer=contrast --shard_images=2 "
        "--workers=1 --sheet_images=0"
    )
    given = [*given.split(), f"--encoder={encoder}", f"--output={output}", *flags]
    run.discover(flagfiles.parse(given, DiscoverSettings))
    return [np.load(output / "regions" / f"{n:06d}.npz")["scores"] for n in range(2)]


def killed_after_a_shard(done, output):
    shutil.copytree(done, output)
    for name in ("regions/000001.npz", "boxes/000000.npz", "boxes/000001.npz"):
        (output / name).unlink()
    shutil.rmtree(output / "proposals")
    flags = (output / "flags.txt").read_text().replace(str(done), str(output))
    (output / "flags.txt").write_text(flags)


def while_it_starts(monkeypatch, act):
    """Lets something happen when a discovery has opened its encoder, and its workers have not."""
    opened = run.open_output

    def open_output(*arguments):
        act()
        opened(*arguments)

    monkeypatch.setattr(run, "open_output", open_output)


def test_a_discovery_goes_on_with_the_checkpoint_that_it_began_with(
    training, tmp_path, monkeypatch, capsys
):
    first = discover(training, tmp_path / "first")
    assert "--step=0\n" in (tmp_path / "first" / "flags.txt").read_text()
    assert json.loads((tmp_path / "first" / "encoder.json").read_text())["step"] == 4
    killed_after_a_shard(tmp_path / "first", tmp_path / "killed")
    killed_after_a_shard(tmp_path / "first", tmp_path / "late")
    with monkeypatch.context() as patch:
        while_it_starts(patch, lambda: save(training, 8, seed=8))
        during = discover(training, tmp_path / "during")
    capsys.readouterr()
    after = discover(training, tmp_path / "killed")
    for shard, *others in zip(first, during, after, strict=True):
        for other in others:
            np.testing.assert_array_equal(shard, other)
    assert f"maps C3, C4 of step 4 of {training}\n" in capsys.readouterr().err
    newer = discover(training, tmp_path / "newer")
    assert all(not np.array_equal(*pair) for pair in zip(first, newer))
    shutil.rmtree(training / "checkpoints" / "step_00000004")
    with pytest.raises(UserError, match="no checkpoint of --step=4; there are 8"):
        discover(training, tmp_path / "late")


def test_an_encoder_that_was_replaced_is_refused(training, tmp_path):
    output = tmp_path / "out"
    discover(training, output, "--step=4")
    shutil.rmtree(training / "checkpoints")
    save(training, 4, seed=5)
    with pytest.raises(UserError, match="are of another encoder .step 4 of ") as raised:
        discover(training, output, "--step=4")
    assert "\n" not in str(raised.value)
    # The output of an earlier version has no record, and gets one now.
    (output / "encoder.json").unlink()
    discover(training, output, "--step=4")
    assert json.loads((output / "encoder.json").read_text())["step"] == 4


def test_a_worker_refuses_images_that_came_since_the_start(
    training, photographs, tmp_path, monkeypatch
):
    no_scenes = ("--dataset=", "--scenes=4000", "--scene_size=48")
    output, flags = tmp_path / "out", (*no_scenes, f"--image_folder={photographs}")
    with monkeypatch.context() as patch:
        while_it_starts(patch, lambda: shutil.copy(photographs / "3.png", photographs / "00.png"))
        with pytest.raises(UserError, match="regions of images") as raised:
            discover(training, output, *flags)
    told = "the described images are not those of the first start (count 6 there, 7 here; "
    assert told in str(raised.value) and "\n" not in str(raised.value)
    assert "; put the data back, or give a new --output; what is done stays" in str(raised.value)
    assert not list((output / "regions").iterdir())
    (photographs / "00.png").unlink()
    assert all(len(scores) for scores in discover(training, output, *flags))


def test_a_worker_refuses_an_encoder_that_is_replaced_meanwhile(training, tmp_path, monkeypatch):
    def replace():
        shutil.rmtree(training / "checkpoints")
        save(training, 4, seed=5)

    while_it_starts(monkeypatch, replace)
    with pytest.raises(UserError, match="regions of images.*are of another encoder .step 4 of "):
        discover(training, tmp_path / "out")
    assert not list((tmp_path / "out" / "regions").iterdir())
