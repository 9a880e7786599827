import json

import numpy as np
import pytest
from ml_dtypes import bfloat16
from safetensors.numpy import save_file

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.exporters.exported import Exported
from ssl_tf.exporters.formats import export_encoder
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import FormatSettings, InitEncoderSettings, ModelSettings
from ssl_tf.weights.architecture import Architecture
from ssl_tf.weights.encoder_images import EncoderImages, exported_images
from ssl_tf.weights.families import from_torch_file
from ssl_tf.weights.loading import check_encoder, load_init_encoder, read_weights
from tests.weights.random_tensors import SMALL, random_tensors, randomize
from tests.weights.torch_files import save_zip, tensors


@pytest.mark.parametrize(
    "model, formats",
    [
        (ModelSettings(depth=18, width=0.0625, stem="small"), "torchvision"),
        (ModelSettings(depth=50, width=0.125, stride_in_1x1=True), "torchvision,detectron2"),
    ],
)
def test_what_was_exported_comes_back_to_the_bit(model, formats, tmp_path, capsys):
    encoder = randomize(build_encoder(model, 0))
    settings = FormatSettings(format=tuple(formats.split(",")))
    export_encoder(Exported(encoder, model, 32, settings), tmp_path / "out", {})
    for name in settings.format:
        path = tmp_path / "out" / f"{name}.safetensors"
        again, found, _ = load_init_encoder(InitEncoderSettings(init_encoder=str(path)))
        assert found == model
        for old, new in zip(encoder.weights, again.weights, strict=True):
            np.testing.assert_array_equal(old, new)
        count = len(encoder.weights)
        assert f"all {count} tensors of the encoder are read, left out: none" in (
            capsys.readouterr().err
        )


def settings(path, **flags):
    return InitEncoderSettings(init_encoder=str(path), **flags)


def test_what_is_left_out_is_told(tmp_path, capsys):
    head = {"fc.weight": np.ones([10, 32], np.float32), "fc.bias": np.ones(10, np.float32)}
    save_file({**random_tensors(SMALL), **head}, tmp_path / "a.safetensors")
    read_weights(settings(tmp_path / "a.safetensors"))
    assert capsys.readouterr().err == (
        f"{tmp_path}/a.safetensors: ResNet-18, width 0.0625, imagenet stem, names of torchvision "
        "or timm, pixels RGB of 0 to 1 less 0.485, 0.456, 0.406 over 0.229, 0.224, 0.225; "
        "all 100 tensors of the encoder are read, left out: fc (2)\n"
    )


def test_half_precision_is_read(tmp_path):
    halves = {name: np.float16(value) for name, value in random_tensors(SMALL).items()}
    save_file(halves, tmp_path / "a.safetensors")
    read = read_weights(settings(tmp_path / "a.safetensors")).tensors
    for name, value in halves.items():
        assert read[name].dtype == np.float32
        np.testing.assert_array_equal(read[name], value)


def test_quantized_kernels_are_refused(tmp_path):
    found = random_tensors(SMALL)
    found["layer1.0.conv1.weight"] = np.int8(10 * found["layer1.0.conv1.weight"])
    save_file(found, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match="holds layer1.0.conv1.weight as int8, whose scale is not "):
        read_weights(settings(tmp_path / "a.safetensors"))
    brain = {name: value.astype(bfloat16) for name, value in random_tensors(SMALL).items()}
    read = from_torch_file(brain, "").tensors
    for name, value in brain.items():
        np.testing.assert_array_equal(read[name], value.astype(np.float32))


@pytest.mark.parametrize("name", ["a.pth", "a.torch", "a.ckpt", "a"])
def test_a_pickle_stays_closed_unless_it_is_allowed(tmp_path, name):
    save_zip({"state_dict": tensors(random_tensors(SMALL))}, tmp_path / name)
    with pytest.raises(UserError, match=rf"--init_encoder=.*{name} is a pickle; give --allow_pick"):
        read_weights(settings(tmp_path / name))
    weights = read_weights(settings(tmp_path / name, allow_pickle=True))
    for name, value in random_tensors(SMALL).items():
        np.testing.assert_array_equal(weights.tensors[name], value)


@pytest.mark.parametrize("name", ["encoder.onnx", "encoder.tflite"])
def test_a_network_for_use_alone_is_not_called_damaged(tmp_path, name):
    (tmp_path / name).write_bytes(b"sound")
    with pytest.raises(UserError, match="is a network for use alone .*; give the SavedModel, the"):
        read_weights(settings(tmp_path / name))


def test_damaged_and_foreign_files_are_one_line(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(UserError, match="there is no such file"):
        read_weights(settings(path))
    save_file(random_tensors(SMALL), path)
    whole = path.read_bytes()
    for content in (whole[:-1], whole[:100], b"", b"PK\3\4" + whole, b"\xff" * 100):
        path.write_bytes(content)
        with pytest.raises(UserError, match="it is damaged or of another kind") as raised:
            read_weights(settings(path))
        assert "\n" not in str(raised.value)
    # Whole, in numbers that NumPy does not have.
    header = b'{"conv1.weight":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"0")
    with pytest.raises(UserError, match="float8.*it is damaged or of another kind"):
        read_weights(settings(path))
    for suffix, content in ((".h5", whole), (".keras", whole), (".pth", whole), (".pkl", b"\x80")):
        (tmp_path / f"b{suffix}").write_bytes(content)
        with pytest.raises(UserError, match="it is damaged or of another kind"):
            read_weights(settings(tmp_path / f"b{suffix}", allow_pickle=True))
    with pytest.raises(UserError, match="is a directory without a SavedModel"):
        read_weights(settings(tmp_path))


@pytest.mark.parametrize("length", [0x280, 0x4B50])
def test_safetensors_of_another_name_are_no_pickle_whatever_their_length(tmp_path, length):
    found = random_tensors(SMALL)
    save_file(found, tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    size = int.from_bytes(whole[:8], "little")
    # A header may be padded; its length then begins with the bytes of a pickle or of a zip file.
    padded = size + (length - size) % 0x10000
    path = tmp_path / "a.weights"
    header = whole[8 : 8 + size].ljust(padded)
    path.write_bytes(padded.to_bytes(8, "little") + header + whole[8 + size :])
    assert path.read_bytes()[:2] in (b"\x80\x02", b"PK")
    read = read_weights(settings(path))
    np.testing.assert_array_equal(read.tensors["conv1.weight"], found["conv1.weight"])


@pytest.mark.parametrize(
    "name, value, told",
    [
        ("bn1.weight", np.nan, "bn1.weight holds numbers that are not finite"),
        # Eight bytes "x" in the place of two numbers.
        ("conv1.weight", 2e34, "conv1.weight holds a number beyond 1e\\+12; the file is damaged"),
        ("layer1.0.bn1.running_var", -1.0, "layer1.0.bn1.running_var holds negative variances"),
    ],
)
def test_numbers_that_no_training_leaves_are_refused(name, value, told, tmp_path):
    broken = random_tensors(SMALL)
    broken[name][1] = value
    save_file(broken, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match=told):
        read_weights(settings(tmp_path / "a.safetensors"))


@pytest.mark.parametrize(
    "model",
    [
        ModelSettings(depth=18, width=0.0625, stem="small"),
        ModelSettings(depth=18, width=0.125),
        ModelSettings(depth=34, width=0.0625),
    ],
)
def test_a_run_of_another_network_is_told_the_flags(model, tmp_path):
    save_file(random_tensors(SMALL), tmp_path / "a.safetensors")
    given = settings(tmp_path / "a.safetensors")
    weights = read_weights(given)
    check_encoder(build_encoder(ModelSettings(depth=18, width=0.0625), 0), weights, given)
    with pytest.raises(UserError, match="--depth=18 --width=0.0625 --stem=imagenet$"):
        check_encoder(build_encoder(model, 0), weights, given)


@pytest.mark.parametrize(("stem", "side"), [("imagenet", 224), ("small", 32)])
def test_images_are_those_of_the_export_or_of_the_stem(stem, side, tmp_path):
    path = tmp_path / "a.safetensors"
    save_file(random_tensors(Architecture(18, 0.0625, stem)), path)
    *_, images = load_init_encoder(settings(path))
    assert images == EncoderImages(side, orient=False)
    (tmp_path / "export.json").write_text(json.dumps({"image_size": 48, "orient": True}))
    *_, images = load_init_encoder(settings(path))
    assert images == exported_images(tmp_path) == EncoderImages(48, orient=True)
    # Widths whose channels are rounded to the same are one network.
    export = {"image_size": 48, "width": 0.06, "orient": True}
    (tmp_path / "export.json").write_text(json.dumps({**export, "width": 0.062}))
    _, model, images = load_init_encoder(settings(path))
    assert model.width == 0.062 and images == EncoderImages(48, orient=True)
    (tmp_path / "export.json").write_text(json.dumps(export))
    assert load_init_encoder(settings(path))[2] == EncoderImages(side, orient=False)
    # That of another network, beside which the file lies.
    (tmp_path / "export.json").write_text(json.dumps({"image_size": 48, "width": 0.5}))
    assert load_init_encoder(settings(path))[2] == EncoderImages(side, orient=False)
    (tmp_path / "export.json").write_text("{")
    with pytest.raises(UserError, match="export.json is damaged"):
        load_init_encoder(settings(path))


@pytest.mark.parametrize("by", ["name", "config"])
def test_pools_that_no_tensor_shows_are_refused_where_a_name_tells_them(by, tmp_path):
    path = tmp_path / ("resnetaa50.a1_in1k.safetensors" if by == "name" else "model.safetensors")
    save_file(random_tensors(SMALL), path)
    told = {"architecture": "resnetblur50" if by == "config" else "resnet50"}
    (tmp_path / "config.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match="resnet(aa50|blur50).*, whose strides are in pools"):
        read_weights(settings(path))
    plain = tmp_path / "plain" / "model.safetensors"
    plain.parent.mkdir()
    save_file(random_tensors(SMALL), plain)
    for content in ('{"architecture": "resnet50"}', "[1]"):
        (plain.parent / "config.json").write_text(content)
        assert read_weights(settings(plain)).architecture == SMALL


def test_pixels_are_told_by_flags_or_by_the_config_beside_the_file(tmp_path, capsys):
    path = tmp_path / "model.safetensors"
    save_file(random_tensors(Architecture(18, 0.0625, "small")), path)
    usual = read_weights(settings(path)).tensors["conv1.weight"]
    told = capsys.readouterr().err
    assert "small stem, of stride 1, padding 1 and no pool, names of torchvision or timm" in told
    assert "pixels RGB of 0 to 1 less 0.485, 0.456, 0.406 over 0.229, 0.224, 0.225; all" in told
    of_config = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": of_config}))
    halves = read_weights(settings(path)).tensors["conv1.weight"]
    expected = usual * np.reshape([0.229, 0.224, 0.225], [3, 1, 1]) / 0.5
    np.testing.assert_allclose(halves, expected, rtol=1e-6)
    assert "less 0.5, 0.5, 0.5 over 0.5, 0.5, 0.5" in capsys.readouterr().err
    given = read_weights(settings(path, init_mean=(0.0, 0.0, 0.0), init_std=(1.0, 1.0, 1.0)))
    np.testing.assert_allclose(given.tensors["conv1.weight"], expected / 2, rtol=1e-6)
    assert "less 0, 0, 0 over 1, 1, 1" in capsys.readouterr().err
    for nothing in (None, {}, "resnet18"):
        told = {**of_config, "pretrained_cfg": nothing}
        (tmp_path / "config.json").write_text(json.dumps(told))
        again = read_weights(settings(path)).tensors["conv1.weight"]
        np.testing.assert_array_equal(again, halves)
    for content in (b'{"mean": [0.5', b"", b"\xff"):
        (tmp_path / "config.json").write_bytes(content)
        with pytest.raises(UserError, match="that is no JSON, .*; copy it again, or move it away"):
            read_weights(settings(path))
    (tmp_path / "config.json").write_text(json.dumps({"std": [0.5]}))
    with pytest.raises(UserError, match="std is not of three numbers from 0 to 1; give --init_std"):
        read_weights(settings(path))
    (tmp_path / "config.json").write_text(json.dumps({"mean": [123.7, 116.3, 103.5]}))
    with pytest.raises(UserError, match="whose mean is not of three numbers from 0 to 1; give"):
        read_weights(settings(path))
    others = [("init_mean", (123.7, 116.3, 103.5)), ("init_std", (58.4, 57.1, 57.4))]
    for flag, values in (("init_mean", (0.5,)), ("init_std", (1.0, 0.0, 1.0)), *others):
        with pytest.raises(SettingsError, match=f"--{flag}=.*: give three numbers"):
            settings(path, **{flag: values})
