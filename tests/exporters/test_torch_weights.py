"""Files for torch without torch: names, shapes and values, and the lines that build the network."""

import ast
import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.exporters import torch_weights
from ssl_tf.exporters.detectron2 import config_lines, detectron2_refusal
from ssl_tf.exporters.exported import Exported
from ssl_tf.exporters.formats import export_encoder
from ssl_tf.exporters.torch_models import timm_lines, torchvision_lines
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import FormatSettings, ModelSettings
from tests.weights.random_tensors import randomize

WIDE = ModelSettings(depth=50, width=0.125)


@pytest.fixture(scope="module")
def encoder():
    return randomize(build_encoder(WIDE, 0))


@pytest.fixture(scope="module")
def out(encoder, tmp_path_factory):
    """An export in the names of both, and its reports."""
    path = tmp_path_factory.mktemp("exported") / "out"
    settings = FormatSettings(format=("torchvision", "detectron2"))
    with pytest.MonkeyPatch.context() as patch:
        # As where torch is not installed, whatever there is.
        for module in ("torch_weights", "detectron2"):
            patch.setattr(
                f"ssl_tf.exporters.{module}.obstacle", lambda *names: f"{names[0]} is not installed"
            )
        return path, export_encoder(Exported(encoder, WIDE, 32, settings), path, {})


def test_files_have_the_values_of_the_encoder(encoder, out):
    state = load_file(out[0] / "torchvision.safetensors")
    layer = encoder.get_layer("layer2_0_conv2")
    np.testing.assert_array_equal(
        state["layer2.0.conv2.weight"], layer.kernel.numpy().transpose(3, 2, 0, 1)
    )
    norm = encoder.get_layer("layer3_0_downsample_1")
    for name, value in (("weight", norm.gamma), ("bias", norm.beta)):
        np.testing.assert_array_equal(state[f"layer3.0.downsample.1.{name}"], value)
    np.testing.assert_array_equal(state["layer3.0.downsample.1.running_var"], norm.moving_variance)
    # 265 tensors of a ResNet-50, and a counter for each of its 53 normalizations.
    assert len(state) == 265 + 53 and state["bn1.num_batches_tracked"].dtype == np.int64
    theirs = load_file(out[0] / "detectron2.safetensors")
    assert len(theirs) == 265
    np.testing.assert_array_equal(theirs["res4.0.shortcut.norm.running_var"], norm.moving_variance)
    with safe_open(out[0] / "torchvision.safetensors", framework="np") as file:
        assert file.metadata() == {"stride_in_1x1": "False"}


def test_weights_can_be_read_by_whoever_reads_the_rest(out):
    modes = {
        path.name: oct(path.stat().st_mode & 0o777) for path in out[0].iterdir() if path.is_file()
    }
    assert len(set(modes.values())) == 1, modes


def test_reports_say_which_check_was_done_and_how_to_convert(out):
    torchvision, detectron2 = out[1]["torchvision"], out[1]["detectron2"]
    told = "its 265 names and shapes are those of the written rule; outputs are not compared, "
    assert f"{told}because torch is not installed (pip install -c" in torchvision[0]
    assert "its 265 names" in detectron2[0]
    code = "\n".join(line.strip() for line in detectron2 if line.startswith("    "))
    assert len(ast.parse(code).body) == 4
    assert "?matching_heuristics=True" in code
    facts = json.loads((out[0] / "export.json").read_text())
    assert facts["torchvision"]["weights"] == "torchvision.safetensors"
    assert facts["detectron2"] == {
        "weights": "detectron2.safetensors",
        "config": "detectron2.yaml",
        "largest_difference": None,
    }


def test_a_file_with_other_names_or_shapes_is_no_export(encoder, tmp_path):
    exported = Exported(encoder, WIDE, 32)
    tensors = torch_weights.torch_tensors(exported)
    for change in ({"bn1.weight": np.ones(9)}, {"bn9.weight": np.ones(8)}):
        save_file({**tensors, **change}, tmp_path / "a.safetensors")
        with pytest.raises(UserError, match="has not the names and shapes"):
            torch_weights.check_names(exported, tmp_path / "a.safetensors", lambda name: name)


def test_the_config_has_the_keys_whose_defaults_are_others():
    lines = config_lines(ModelSettings(depth=50))
    for line in (
        'WEIGHTS: "detectron2.pth?matching_heuristics=True"',
        "PIXEL_MEAN: [123.675, 116.28, 103.53]",
        "PIXEL_STD: [58.395, 57.12, 57.375]",
        "STRIDE_IN_1X1: False",
        "RES2_OUT_CHANNELS: 256",
        'FORMAT: "RGB"',
    ):
        assert f" {line}\n" in lines
    assert "RES2_OUT_CHANNELS: 64\n" in config_lines(ModelSettings(depth=18))
    double = config_lines(ModelSettings(depth=50, width=2, stride_in_1x1=True))
    for line in ("STRIDE_IN_1X1: True", "STEM_OUT_CHANNELS: 128", "WIDTH_PER_GROUP: 128"):
        assert f" {line}\n" in double


@pytest.mark.parametrize(
    "flags, told",
    [
        ({"stem": "small"}, "no ResNet with a 3x3 stem"),
        ({"depth": 200}, "no ResNet-200"),
        ({"depth": 34, "width": 2}, "no keys for the width of a ResNet-34"),
        # 19, 38, 77 and 154 channels.
        ({"width": 0.3}, "have 19, 38, 77, 154 channels"),
    ],
)
def test_what_detectron2_cannot_express_is_refused(flags, told):
    assert told in detectron2_refusal(ModelSettings(**flags))
    assert detectron2_refusal(ModelSettings(width=2)) == ""
    assert detectron2_refusal(ModelSettings(depth=34)) == ""


def test_timm_has_no_other_widths(encoder, tmp_path):
    exported = Exported(encoder, WIDE, 32, FormatSettings(format=("timm",)))
    with pytest.raises(SettingsError, match="--format=timm: timm builds no ResNet whose stem"):
        export_encoder(exported, tmp_path / "out", {})
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "model, torchvision, timm",
    [
        (ModelSettings(depth=50), "torchvision.models.resnet50(norm_layer=norm_layer)", "resnet50"),
        (ModelSettings(depth=18, stem="small"), "Conv2d(3, 64, 3, 1, 1, bias=False)", "resnet18"),
        (ModelSettings(depth=200), "ResNet(block, [3, 24, 36, 3], norm_layer", "resnet200"),
        (ModelSettings(depth=34, width=0.5), "_make_layer(block, 256, 3, stride=2)", None),
        (ModelSettings(stride_in_1x1=True), "conv2.stride = (2, 2), (1, 1)", "resnet50"),
    ],
)
def test_lines_build_the_network(model, torchvision, timm):
    lines = torchvision_lines(model, "torchvision.safetensors")
    ast.parse(lines)
    assert torchvision in lines and '"torchvision.safetensors"' in lines
    assert ("maxpool = torch.nn.Identity()" in lines) == (model.stem == "small")
    if timm:
        lines = timm_lines(model, "timm.safetensors")
        ast.parse(lines)
        assert f'timm.create_model("{timm}", num_classes=0' in lines
        assert ("conv1.stride" in lines) == model.stride_in_1x1
