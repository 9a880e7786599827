import zlib

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.networks import resnet
from ssl_tf.networks.dilation import dilated
from ssl_tf.networks.resnet import build_resnet, stage_outputs


@pytest.mark.parametrize("depth, stem", [(18, "imagenet"), (50, "imagenet"), (18, "small")])
def test_the_finer_map_holds_every_cell_of_the_original(depth, stem):
    model = build_resnet(depth, 0.0625, stem, zero_init_last_gamma=False, seed=1)
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.5, 1, w.shape) * np.sign(w + 1e-9) for w in
                       model.get_weights()])  # fmt: skip
    images = tf.constant(random.standard_normal((1, 75, 64, 3)), tf.float32)
    stride = 8 if stem == "imagenet" else 2
    finer = dilated(model, stride)
    before = tf.keras.Model(model.input, stage_outputs(model))(images)
    after = tf.keras.Model(finer.input, stage_outputs(finer))(images)
    for name, lost in (("C2", 1), ("C3", 1), ("C4", 2), ("C5", 4)):
        kept = after[name][:, ::lost, ::lost]
        scale = np.abs(before[name]).max()
        np.testing.assert_allclose(kept / scale, before[name] / scale, atol=1e-5, err_msg=name)
    assert after["C5"].shape[1:3] == after["C3"].shape[1:3]


def torch_values(name, shape):
    """The weights of a tensor of torchvision, in its layout, as a function of its name."""
    drawn = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    drawn = drawn.astype(np.float32)
    if len(shape) == 4:
        return drawn * np.float32((2 / np.prod(shape[1:])) ** 0.5)
    if name.endswith("running_var"):
        return 1 + 0.1 * np.abs(drawn)
    return 0.1 * drawn + (1 if name.endswith("weight") else 0)


# Of torchvision 0.28.0 and torch 2.13.0: ResNet(Bottleneck, [1, 1, 2, 2],
# replace_stride_with_dilation=...) of such weights, on standard_normal((1, 3, 48, 64)) of seed 0.
# Of its last map: the shape, mean, standard deviation, maximum; then channels 0..3 of the first
# cell, 100..103 of the middle one, and the last four of the last cell.
TORCHVISION = {
    16: (
        (3, 4),
        (4.20601224899292, 5.338817119598389, 37.05906677246094),
        (4.933952808380127, 5.267246723175049, 11.777358055114746, 1.355603814125061),
        (3.085918426513672, 7.751747131347656, 0.0, 3.0983223915100098),
        (1.9839086532592773, 0.3161294460296631, 6.1775641441345215, 8.02303409576416),
    ),
    8: (
        (6, 8),
        (4.415316104888916, 5.586859226226807, 42.43342971801758),
        (4.933953285217285, 5.267244338989258, 11.777359008789062, 1.3555982112884521),
        (5.106284141540527, 5.324613094329834, 0.0, 10.313215255737305),
        (0.6799944043159485, 0.0, 6.9169487953186035, 3.1058371338653564),
    ),
}


@pytest.mark.parametrize("output_stride", TORCHVISION)
def test_the_finer_map_is_that_of_torchvision(output_stride, monkeypatch):
    monkeypatch.setitem(resnet.DEPTHS, 50, ((1, 1, 2, 2), True))
    model = build_resnet(50, synchronized=False)
    for layer in model.layers:
        name = layer.name.replace("_", ".")
        if isinstance(layer, tf.keras.layers.Conv2D):
            height, width, inputs, outputs = layer.kernel.shape
            kernel = torch_values(f"{name}.weight", (outputs, inputs, height, width))
            layer.kernel.assign(kernel.transpose(2, 3, 1, 0))
        elif layer.weights:
            kinds = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([torch_values(f"{name}.{kind}", layer.gamma.shape) for kind in kinds])
    images = np.random.RandomState(0).standard_normal((1, 3, 48, 64)).astype(np.float32)
    finer = dilated(model, output_stride)
    maps = tf.keras.Model(finer.input, stage_outputs(finer)["C5"])
    found = maps(images.transpose(0, 2, 3, 1)).numpy()[0]
    shape, moments, first, middle, last = TORCHVISION[output_stride]
    assert found.shape == (*shape, 2048)
    np.testing.assert_allclose([found.mean(), found.std(), found.max()], moments, rtol=1e-4)
    np.testing.assert_allclose(found[0, 0, :4], first, rtol=1e-4, atol=1e-4)
    cell = found[shape[0] // 2, shape[1] // 2]
    np.testing.assert_allclose(cell[100:104], middle, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[-1, -1, -4:], last, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stem, asked, least", [("imagenet", 2, 4), ("imagenet", 1, 4)])
def test_a_stride_below_that_of_the_stem_is_refused(stem, asked, least):
    model = build_resnet(18, 0.0625, stem, seed=1)
    with pytest.raises(SettingsError, match=f"--output_stride={asked}: .* a stride of {least}"):
        dilated(model, asked)
