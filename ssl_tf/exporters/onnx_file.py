"""The encoder as an ONNX file, for onnxruntime and what reads its format."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.exporters.equality import Outputs, compare, features_and_maps
from ssl_tf.exporters.exported import Exported, Written
from ssl_tf.networks.normalization import MEAN, STD

ONNX_FILE = "encoder.onnx"
# Of 2022: what reads ONNX today reads it.
_OPSET = 17
_TO_NCHW, _TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


def write_onnx_file(exported: Exported, directory: Path) -> Written:
    """Writes `encoder.onnx`, runs it by onnxruntime and checks its outputs.

    Args:
        exported: the encoder.
        directory: of the file.

    Raises:
        UserError: what was run differs by more than rounding.
    """
    import onnx

    nchw = exported.settings.onnx_layout == "nchw"
    model = features_and_maps(exported.encoder)
    if not exported.settings.onnx_maps:
        model = tf.keras.Model(model.input, {"features": model.output["features"]})
    names = tuple(model.output)
    path = directory / ONNX_FILE
    onnx.save(convert(model, nchw), str(path))
    difference = compare(exported, lambda images: run_onnx(path, images, nchw), ONNX_FILE, names)
    entries = {
        "file": ONNX_FILE,
        "opset": _OPSET,
        "layout": exported.settings.onnx_layout,
        "input": "images",
        "outputs": names,
        "largest_difference": difference.share,
    }
    return Written({"onnx": entries}, (f"{ONNX_FILE}: run by onnxruntime, {difference}",))


def convert(model: tf.keras.Model, nchw: bool):
    """The `onnx.ModelProto` of a model from normalized images to named outputs.

    Its input is `images`; the number of the images and their sides are free. There is no decoding
    of files, whose operations have no form in ONNX: the converter writes a broken file then.

    Args:
        model: images [N, H, W, 3] -> a dict of features [N, D] and maps [N, h, w, C].
        nchw: images are [N, 3, H, W] and maps [N, C, h, w].
    """
    import onnx
    import tf2onnx

    shape = [None, 3, None, None] if nchw else [None, None, None, 3]
    signature = [tf.TensorSpec(shape, tf.float32, name="images")]

    @tf.function(input_signature=signature, autograph=False)
    def encode(images: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = model(tf.transpose(images, _TO_NHWC) if nchw else images, training=False)
        maps = {name: value for name, value in outputs.items() if value.shape.rank == 4 and nchw}
        return outputs | {name: tf.transpose(value, _TO_NCHW) for name, value in maps.items()}

    proto, _ = tf2onnx.convert.from_function(encode, signature, opset=_OPSET)
    _name_axes(proto.graph, nchw)
    onnx.helper.set_model_props(proto, {"mean": json.dumps(MEAN), "std": json.dumps(STD)})
    onnx.checker.check_model(proto, full_check=True)
    return proto


def run_onnx(path: Path, images: np.ndarray, nchw: bool) -> Outputs:
    """All outputs for images [N, H, W, 3], by onnxruntime on a CPU; maps are [N, h, w, C]."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    given = images.transpose(_TO_NCHW) if nchw else images
    outputs = dict(zip(names, session.run(names, {"images": given})))
    maps = {name: value for name, value in outputs.items() if value.ndim == 4 and nchw}
    return outputs | {name: value.transpose(_TO_NHWC) for name, value in maps.items()}


def _name_axes(graph, nchw: bool) -> None:
    """Names the free axes of the inputs and outputs in place of the converter's numbers."""
    for value in (*graph.input, *graph.output):
        axes = value.type.tensor_type.shape.dim
        sides = {4: (2, 3) if nchw else (1, 2)}.get(len(axes), ())
        prefix = "" if value.name == "images" else f"{value.name}_"
        axes[0].dim_param = "batch"
        for axis, side in zip(sides, ("height", "width")):
            axes[axis].dim_param = prefix + side
