"""The arithmetic of the encoders, against closed forms."""

import pytest
import tensorflow as tf

from ssl_tf.networks.flops import forward_flops
from ssl_tf.networks.resnet import build_resnet


def closed_form(depth, side):
    """Multiply-adds of a ResNet at a side that its strides divide, block by block."""
    blocks, bottleneck = {18: ((2, 2, 2, 2), False), 50: ((3, 4, 6, 3), True)}[depth]
    side //= 2
    total = side**2 * 7 * 7 * 3 * 64
    side, inputs = side // 2, 64
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        output = 4 * width if bottleneck else width
        for index in range(count):
            before = side**2
            if stage and not index:
                side //= 2
            after = side**2
            if bottleneck:  # the stride is in the 3x3
                total += before * inputs * width + after * (9 * width * width + width * output)
            else:
                total += after * 9 * (inputs * width + width * width)
            if inputs != output:
                total += after * inputs * output
            inputs = output
    return total


@pytest.mark.parametrize("depth, published", [(18, 1.8e9), (50, 4.1e9)])
def test_the_encoders_have_the_published_multiply_adds(depth, published):
    found = forward_flops(build_resnet(depth), 224)
    assert found == 2 * closed_form(depth, 224)
    assert found / 2 == pytest.approx(published, rel=0.02)


def test_dense_layers_count_at_every_position():
    images = tf.keras.Input((None, None, 3))
    x = tf.keras.layers.Conv2D(5, 3, 2, padding="same")(images)
    x = tf.keras.layers.Dense(7)(x)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    model = tf.keras.Model(images, tf.keras.layers.Dense(2)(x))
    assert forward_flops(model, 8) == 2 * (16 * 27 * 5 + 16 * 5 * 7 + 7 * 2)
