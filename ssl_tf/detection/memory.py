"""The memory that a training step of a detector takes, estimated."""

import math

import tensorflow as tf

from ssl_tf.detection.network import MASK_LOGITS, RegionDetector
from ssl_tf.detection.training_step import DetectorTraining
from ssl_tf.networks.resnet import activation_floats
from ssl_tf.settings import DetectSettings
from ssl_tf.training.checkpoints import checkpoint_bytes

_GIB = 2**30
# Side of the maps that the box head and the mask head see of a region.
_BOX, _MASK = 7, 14


def memory_lines(network: DetectorTraining, settings: DetectSettings, replicas: int) -> list[str]:
    """A line for 1, 8 and the replicas that are here."""
    detector, training = network.detector, settings.training
    state = checkpoint_bytes(detector.variables) + checkpoint_bytes(network.optimizer.variables)
    state += checkpoint_bytes(network.learned_variables)
    floats = activation_floats(detector.encoder, detector.canvas) + _floats_behind(detector)
    lines = []
    for count in sorted({1, 8, replicas}):
        images = training.batch_size / count / training.accumulate
        lines.append(
            f"memory a replica  {(state + 4 * floats * images) / _GIB:.1f} GiB on {count} "
            f"({state / _GIB:.1f} variables and gradients, the rest activations; estimated)"
        )
    return lines


def _floats_behind(detector: tf.keras.Model) -> float:
    """Activations of pyramid and heads that backpropagation keeps of an image."""
    settings = detector.settings
    channels = settings.pyramid_channels
    cells = sum(math.ceil(detector.canvas / 2**level) ** 2 for level in detector.levels)
    if not isinstance(detector, RegionDetector):
        # The pyramid, and four convolutions with their normalization in two towers.
        return cells * (3 * channels + 2 * 4 * 2 * channels) + 6 * len(detector.anchors)
    regions = settings.sampled_regions
    floats = cells * 6 * channels + 6 * len(detector.anchors)
    # RoIAlign keeps four values for each that it averages.
    floats += regions * (5 * _BOX**2 * channels + 4 * settings.box_head_channels)
    if settings.masks:
        masked = regions / 4
        floats += masked * _MASK**2 * channels * (5 + 2 * settings.mask_convs)
        floats += masked * MASK_LOGITS**2 * 2 * channels
    return floats
