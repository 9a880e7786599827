"""The arithmetic of a network, counted from its layers."""

import math

import tensorflow as tf


def forward_flops(model: tf.keras.Model, image_size: int) -> int:
    """Floating-point operations of a forward pass of one square image, estimated.

    Each multiply-add of a convolution or a dense layer counts as two. Normalizations, activations,
    additions and pools are left out.

    Args:
        model: a functional model of images, such as that of `build_resnet`.
        image_size: side of the image, in pixels.
    """
    kinds = (tf.keras.layers.Conv2D, tf.keras.layers.Dense)
    layers = [layer for layer in model.layers if isinstance(layer, kinds)]
    shapes = tf.keras.Model(model.inputs, [layer.output for layer in layers]).compute_output_shape(
        (1, image_size, image_size, 3)
    )
    # A kernel is applied once at each position of the output; its last side are the channels there.
    return sum(
        2 * math.prod(layer.kernel.shape) * math.prod(shape[:-1])
        for layer, shape in zip(layers, shapes)
    )
