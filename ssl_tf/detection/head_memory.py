"""The memory of what stands on the encoder of a detector, estimated."""

from ssl_tf.detection.detector_head import DetectorHead
from ssl_tf.detection.region_head import BOX_CROP, MASK_CROP, MASK_LOGITS, RegionHead


def head_activation_floats(head: DetectorHead) -> float:
    """Activations of pyramid and heads that backpropagation keeps of an image, in numbers."""
    settings = head.settings
    channels = settings.pyramid_channels
    cells = sum((-(-head.canvas // 2**level)) ** 2 for level in head.levels)
    if not isinstance(head, RegionHead):
        # The pyramid, and two towers of four convolutions with their normalization.
        outputs = head.anchors_a_location * (4 + 2 * head.outputs)
        return cells * (3 * channels + 2 * 4 * 2 * channels + outputs)
    floats = cells * (6 * channels + 5 * head.anchors_a_location)
    regions = settings.sampled_regions
    # RoIAlign keeps the four values that it averages.
    floats += regions * (5 * BOX_CROP**2 * channels + 4 * settings.box_head_channels)
    if settings.masks:
        masked = regions / 4
        floats += masked * MASK_CROP**2 * channels * (5 + 2 * settings.mask_convs)
        floats += masked * MASK_LOGITS**2 * 2 * channels
    return floats
