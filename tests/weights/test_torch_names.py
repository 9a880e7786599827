import numpy as np
import pytest

from ssl_tf.weights.torch_names import detectron2_name, from_torch, to_torch, torch_name


@pytest.mark.parametrize(
    "layer, kind, torchvision, detectron2",
    [
        ("conv1", "kernel", "conv1.weight", "stem.conv1.weight"),
        ("bn1", "gamma", "bn1.weight", "stem.conv1.norm.weight"),
        ("bn1", "moving_variance", "bn1.running_var", "stem.conv1.norm.running_var"),
        ("layer1_0_conv3", "kernel", "layer1.0.conv3.weight", "res2.0.conv3.weight"),
        ("layer3_22_bn2", "beta", "layer3.22.bn2.bias", "res4.22.conv2.norm.bias"),
        ("layer4_0_downsample_0", "kernel", "layer4.0.downsample.0.weight",
         "res5.0.shortcut.weight"),
        ("layer4_0_downsample_1", "gamma", "layer4.0.downsample.1.weight",
         "res5.0.shortcut.norm.weight"),
    ],
)  # fmt: skip
def test_names_by_hand(layer, kind, torchvision, detectron2):
    assert torch_name(layer, kind) == torchvision
    assert detectron2_name(torchvision) == detectron2


def test_kernels_change_their_axes_and_come_back():
    kernel = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    turned = to_torch(kernel)
    assert turned.shape == (5, 4, 2, 3) and turned[4, 3, 1, 2] == kernel[1, 2, 3, 4]
    assert turned.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(from_torch(turned), kernel)
    vector = np.arange(3.0)
    assert to_torch(vector) is vector and from_torch(vector) is vector
