import json

import numpy as np
import onnx
import onnxruntime
import pytest

from ssl_tf.errors import UserError
from ssl_tf.exporters import onnx_file
from ssl_tf.exporters.equality import features_and_maps
from ssl_tf.exporters.exported import Exported
from ssl_tf.exporters.onnx_file import write_onnx_file
from ssl_tf.networks.normalization import MEAN, normalize_images
from ssl_tf.settings import FormatSettings, ModelSettings
from tests.data.tiny_images import picture
from tests.exporters.random_encoder import random_encoder


def shapes(values):
    return {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in values
    }


@pytest.mark.parametrize("layout, depth, stem", [("nhwc", 18, "small"), ("nchw", 50, "imagenet")])
def test_onnxruntime_computes_the_same(layout, depth, stem, one_block_a_stage, tmp_path):
    model = ModelSettings(depth=depth, width=0.0625, stem=stem)
    encoder = random_encoder(model)
    settings = FormatSettings(format=("onnx",), onnx_layout=layout, onnx_maps=True)
    written = write_onnx_file(Exported(encoder, model, 16, settings), tmp_path)
    assert written.entries["onnx"]["largest_difference"] < 2e-6
    assert written.entries["onnx"]["outputs"] == ("features", "C2", "C3", "C4", "C5")
    # Read without what wrote it.
    session = onnxruntime.InferenceSession(str(tmp_path / "encoder.onnx"))
    outputs = [output.name for output in session.get_outputs()]
    for count, height, width in ((1, 32, 48), (3, 35, 47)):
        images = normalize_images(np.stack([picture(n, height, width) for n in range(count)]))
        expected = features_and_maps(encoder)(images, training=False)
        given = images.numpy().transpose(0, 3, 1, 2) if layout == "nchw" else images.numpy()
        for name, value in zip(outputs, session.run(None, {"images": given}), strict=True):
            if layout == "nchw" and value.ndim == 4:
                value = value.transpose(0, 2, 3, 1)
            tolerance = 1e-5 * np.abs(expected[name]).max()
            np.testing.assert_allclose(value, expected[name], rtol=0, atol=tolerance)


def test_inputs_and_outputs_have_names(one_block_a_stage, tmp_path):
    model = ModelSettings(depth=18, width=0.0625)
    written = write_onnx_file(Exported(random_encoder(model), model, 16), tmp_path)
    assert "run by onnxruntime, features at 64 and 97 pixels within" in written.report[0]
    proto = onnx.load(str(tmp_path / "encoder.onnx"))
    assert shapes(proto.graph.input) == {"images": ["batch", "height", "width", 3]}
    assert shapes(proto.graph.output) == {"features": ["batch", 32]}
    # Operations of the standard alone.
    assert {opset.domain: opset.version for opset in proto.opset_import}[""] == 17
    assert {node.domain for node in proto.graph.node} <= {"", "ai.onnx"}
    assert json.loads({p.key: p.value for p in proto.metadata_props}["mean"]) == [*MEAN]


def test_a_file_that_computes_something_else_is_refused(one_block_a_stage, tmp_path, monkeypatch):
    model = ModelSettings(depth=18, width=0.0625)
    run = onnx_file.run_onnx

    def slightly_wrong(path, images, nchw):
        return {name: value * 1.0001 for name, value in run(path, images, nchw).items()}

    monkeypatch.setattr(onnx_file, "run_onnx", slightly_wrong)
    with pytest.raises(UserError, match="of encoder.onnx differs from the encoder's by 0.0001 of"):
        write_onnx_file(Exported(random_encoder(model), model, 16), tmp_path)
