"""Which checkpoint a run starts from, and that weights alone are never taken for a run."""

import contextlib
import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from ssl_tf.errors import UserError
from ssl_tf.methods.registry import build_method
from ssl_tf.networks import resnet
from ssl_tf.pretraining.compiling import compile_method
from ssl_tf.pretraining.restoring import (
    check_not_lost,
    note_saved,
    resume_or_init,
    run_checkpoints,
)
from ssl_tf.settings import PretrainSettings, flagfiles
from ssl_tf.training.encoders import load_encoder
from ssl_tf.training.plan import make_plan
from ssl_tf.training.run_directory import open_run
from ssl_tf.weights.architecture import Architecture
from ssl_tf.weights.torch_names import to_torch, torch_variables
from tests.exporters.random_encoder import ONE_BLOCK_A_STAGE
from tests.weights.random_tensors import random_tensors

TINY = (
    "--dataset=scenes --image_size=16 --depth=18 --width=0.0625 --projector_hidden=16 "
    "--projection=8 --batch_size=16 --epochs=3 --warmup_epochs=1"
).split()


@pytest.fixture(scope="module", autouse=True)
def one_block_a_stage():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet.DEPTHS, 18, (ONE_BLOCK_A_STAGE, False))
        patch.setitem(resnet.DEPTHS, 50, (ONE_BLOCK_A_STAGE, True))
        yield


def tiny(run_dir, *flags):
    """Settings and a new method; weights differ with --seed."""
    settings = flagfiles.parse([*TINY, f"--run_dir={run_dir}", *flags], PretrainSettings)
    plan = make_plan(settings.optimization, 48)
    method = build_method(settings, plan, synchronized=False)
    compile_method(method, settings.optimization, plan)
    return settings, method


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with checkpoints of steps 3 and 6; in that of step 6 each variable is 0.5."""
    directory = tmp_path_factory.mktemp("runs") / "one"
    settings, method = tiny(directory, "--seed=5")
    open_run(settings)
    checkpoints = run_checkpoints(directory, method, 2)
    checkpoints.save(3)
    for network in method.networks.values():
        for variable in network.variables:
            variable.assign(variable * 0 + 0.5)
    method.optimizer.iterations.assign(6)
    checkpoints.save(6)
    return directory


def weights(method):
    return {
        f"{name}/{i}": variable.numpy()
        for name, network in method.networks.items()
        for i, variable in enumerate(network.variables)
    }


def test_a_new_run_starts_from_scratch(tmp_path):
    settings, method = tiny(tmp_path / "new")
    before = weights(method)
    _, step, origin = resume_or_init(settings, method)
    assert (step, origin) == (0, "from scratch")
    assert all(np.array_equal(value, before[name]) for name, value in weights(method).items())
    assert not (tmp_path / "new").exists()


def test_a_run_that_lost_its_checkpoints_is_not_trained_anew(tmp_path):
    """A run that was killed before its first checkpoint is."""
    check_not_lost(tmp_path, 7)
    for step, is_lost in ((7, False), (8, True)):
        (tmp_path / "metrics.jsonl").write_text(f'{{"step": {step}}}\n')
        with pytest.raises(UserError) if is_lost else contextlib.nullcontext() as raised:
            check_not_lost(tmp_path, 7)
    told = f"{tmp_path} was trained to step 8, and has no checkpoint any more; put "
    assert str(raised.value).startswith(told)
    # Whatever --checkpoint_every is now, a run that notes that it has none has lost none.
    note_saved(tmp_path, None)
    check_not_lost(tmp_path, 1)


def test_the_first_checkpoint_is_noted_beside_all(tmp_path):
    _, method = tiny(tmp_path / "run")
    note_saved(tmp_path, None)
    checkpoints = run_checkpoints(tmp_path, method, keep=1)
    for step in (3, 4):
        checkpoints.save(step)
    assert json.loads((tmp_path / "checkpoints.json").read_text()) == {"first": 3}
    run_checkpoints(tmp_path, method, keep=1).save(5)
    note_saved(tmp_path, None)
    assert json.loads((tmp_path / "checkpoints.json").read_text()) == {"first": 3}
    with pytest.raises(UserError, match="was trained to step 3, and has no checkpoint any more"):
        check_not_lost(tmp_path, 9)


@pytest.mark.parametrize("place", ["", "checkpoints/step_00000006"])
def test_init_from_takes_all_networks_and_nothing_else(run, tmp_path, place):
    settings, method = tiny(tmp_path / "new", f"--init_from={run / place}")
    _, step, origin = resume_or_init(settings, method)
    assert step == 0 and int(method.optimizer.iterations) == 0
    assert origin.startswith(f"weights initialized from {run / 'checkpoints' / 'step_00000006'}")
    assert all((value == 0.5).all() for value in weights(method).values())
    slots = [v.numpy() for v in method.optimizer.variables if "momentum" in v.name]
    assert len(slots) == len(method.learned_variables) and not any(slot.any() for slot in slots)


def test_a_run_that_has_a_checkpoint_resumes_whatever_init_from_says(run, tmp_path):
    settings, method = tiny(run, f"--init_from={tmp_path / 'gone'}")
    _, step, origin = resume_or_init(settings, method)
    assert (step, origin) == (6, "resumed from its step 6")
    assert int(method.optimizer.iterations) == 6


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--width=0.125"], r"incompatible tensor with shape .* name \S+"),
        (["--depth=34"], r"incompatible tensor .* name layer1_2_bn1/beta:0"),
        (["--projection=16"], r"incompatible tensor .* name dense\d/kernel:0"),
    ],
)
def test_weights_of_another_model_are_an_error_that_names_a_variable(run, tmp_path, flags, told):
    # A checkpoint alone, without the flags of its run.
    shutil.copytree(run / "checkpoints", tmp_path / "checkpoints")
    settings, method = tiny(tmp_path / "new", f"--init_from={tmp_path}", *flags)
    with pytest.raises(UserError, match=told) as raised:
        resume_or_init(settings, method)
    assert "step_00000006 does not fit" in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("place", ["", "checkpoints/step_00000006"])
def test_a_run_of_another_network_is_refused_with_its_flags(run, tmp_path, place):
    settings, method = tiny(tmp_path / "new", f"--init_from={run / place}", "--width=0.125")
    told = "of another network; give --depth=18 --width=0.0625 --stem=imagenet$"
    with pytest.raises(UserError, match=told):
        resume_or_init(settings, method)


@pytest.mark.parametrize("theirs, ours", [("--stride_in_1x1", ""), ("", "--stride_in_1x1")])
def test_strides_that_no_shape_tells_are_those_of_the_run(tmp_path, theirs, ours):
    settings, method = tiny(tmp_path / "old", "--depth=50", *theirs.split())
    open_run(settings)
    run_checkpoints(tmp_path / "old", method, 2).save(1)
    flags = "--depth=50", f"--init_from={tmp_path / 'old'}"
    settings, other = tiny(tmp_path / "new", *flags, *ours.split())
    told = f"of another network; give .* --stride_in_1x1={'true' if theirs else 'false'}$"
    with pytest.raises(UserError, match=told):
        resume_or_init(settings, other)
    settings, same = tiny(tmp_path / "new", *flags, *theirs.split(), "--seed=9")
    assert resume_or_init(settings, same)[1] == 0
    assert all(np.array_equal(w, weights(method)[n]) for n, w in weights(same).items())


def test_networks_that_the_method_lacks_are_named(run, tmp_path):
    settings, method = tiny(tmp_path / "new", f"--init_from={run}")
    left_out = {n: net for n, net in method.networks.items() if n != "predictor"}

    class Fewer:
        networks, state, optimizer = left_out, {}, method.optimizer

    with pytest.raises(UserError, match=r"networks that this method lacks \(predictor\)"):
        resume_or_init(settings, Fewer())


def test_nothing_to_initialize_from_is_one_line(tmp_path):
    settings, method = tiny(tmp_path / "new", f"--init_from={tmp_path}")
    with pytest.raises(UserError, match="--init_from=.*: no checkpoint there"):
        resume_or_init(settings, method)


@pytest.mark.parametrize("method", ["byol", "simclr"])
def test_init_encoder_gives_the_encoder_and_its_average_their_weights(method, tmp_path, capsys):
    tensors = random_tensors(Architecture(18, 0.0625, "imagenet"))
    save_file(tensors, tmp_path / "a.safetensors")
    flags = f"--method={method}", f"--init_encoder={tmp_path / 'a.safetensors'}"
    settings, model = tiny(tmp_path / "new", *flags)
    before = weights(model)
    _, step, origin = resume_or_init(settings, model)
    assert (step, origin) == (0, f"encoder initialized from {tmp_path / 'a.safetensors'}")
    assert "all 60 tensors of the encoder are read" in capsys.readouterr().err
    encoders = [n for n in model.networks if n in ("encoder", "target_encoder")]
    assert len(encoders) == (2 if method == "byol" else 1)
    for name in encoders:
        for torch_name, variable in torch_variables(model.networks[name]).items():
            np.testing.assert_array_equal(to_torch(variable.numpy()), tensors[torch_name])
    for name, value in weights(model).items():
        if name.partition("/")[0] not in encoders:
            np.testing.assert_array_equal(value, before[name])


def test_init_encoder_of_another_network_is_one_line(tmp_path):
    save_file(random_tensors(Architecture(18, 0.125, "small")), tmp_path / "a.safetensors")
    settings, method = tiny(tmp_path / "new", f"--init_encoder={tmp_path / 'a.safetensors'}")
    with pytest.raises(UserError, match="give --depth=18 --width=0.125 --stem=small"):
        resume_or_init(settings, method)


def test_an_encoder_is_read_from_the_newest_whole_checkpoint(run, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    encoder, settings, step = load_encoder(copy)
    assert step == 6 and settings.run.seed == 5
    assert all((v.numpy() == 0.5).all() for v in encoder.variables)
    (copy / "checkpoints/step_00000006/state.index").unlink()
    encoder, _, step = load_encoder(copy)
    assert step == 3 and "step_00000006 is damaged" in capsys.readouterr().err
