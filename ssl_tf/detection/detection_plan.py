"""The plan of a detection from its settings: no step is taken, nothing is written."""

from collections.abc import Sequence

import tensorflow as tf

from ssl_tf.data.annotations.annotated_source import AnnotatedSource
from ssl_tf.detection.detection_task import Detection
from ssl_tf.detection.detector import Detector
from ssl_tf.detection.detector_heads import MASK_LOGITS, RegionHead
from ssl_tf.downstream.downstream_model import compile_model, freeze
from ssl_tf.downstream.starting_encoders import StartingEncoder
from ssl_tf.networks.precision import policy_scope
from ssl_tf.networks.resnet import activation_floats
from ssl_tf.training.checkpoints import checkpoint_bytes

_GIB = 2**30
# Sides of what the box head and the mask head see of a region, in cells.
_BOX, _MASK = 7, 14


def describe(
    task: Detection,
    starts: list[StartingEncoder],
    unlabelled: AnnotatedSource,
    strategy: tf.distribute.Strategy,
    remarks: Sequence[str],
) -> str:
    """The plan of a detection as text, one fact a line.

    Args:
        task: of the labelled images.
        starts: the encoders.
        unlabelled: all images to learn from, labelled or not.
        strategy: of the training.
        remarks: on the protocol.
    """
    settings, network = task.settings, task.network
    with policy_scope(settings.precision):
        encoder = starts[0].build(False)
        freeze(encoder, settings)
        model = task.build(encoder, False)
        compile_model(model, settings)
    saved = [*model.encoder.variables, *model.head.variables, *model.optimizer.variables]
    learned = sum(variable.shape.num_elements() for variable in model.learned_variables)
    state = checkpoint_bytes(saved) + checkpoint_bytes(model.learned_variables)
    per_image = 4.0 * (activation_floats(model.encoder, network.canvas) + _floats_behind(model))
    batch = settings.batch_size
    name = "mask_rcnn" if network.masks else network.detector
    lines = [
        f"images            {task.train.size} of {unlabelled.size} ({task.train.name})",
        f"test              {task.test.size} ({task.test.name})",
        f"classes           {task.train.num_classes}",
        f"encoders          {', '.join(f'{s.name}: {s.origin}' for s in starts)}",
        f"network           {name} on a canvas of {network.canvas} px, "
        f"{len(model.head.anchors):,} anchors",
        f"steps             {settings.steps} of batch {batch} "
        f"({settings.steps * batch / task.train.size:.3g} epochs), each encoder",
        f"learning rate     {settings.learning_rate:g} at its peak, {settings.schedule}, "
        f"{settings.optimizer}; new layers x {settings.head_rate:g}",
        f"parameters        {learned:,} learned",
        f"checkpoint        {checkpoint_bytes(saved) / 2**20:.0f} MiB, 2 kept",
        f"replicas here     {strategy.num_replicas_in_sync}",
    ]
    for count in sorted({1, 8, strategy.num_replicas_in_sync}):
        if batch % (count * settings.accumulate):
            continue
        images = batch / count / settings.accumulate
        lines.append(
            f"memory a replica  {(state + per_image * images) / _GIB:.1f} GiB on {count} "
            f"({state / _GIB:.1f} variables and gradients, the rest activations; estimated)"
        )
    return "\n".join([*lines, *(f"departs           {remark}" for remark in remarks)])


def _floats_behind(model: Detector) -> float:
    """Activations of pyramid and heads that backpropagation keeps of an image."""
    head, settings = model.head, model.head.settings
    channels = settings.pyramid_channels
    cells = sum((-(-head.canvas // 2**level)) ** 2 for level in head.levels)
    if not isinstance(head, RegionHead):
        # The pyramid, and two towers of four convolutions with their normalization.
        outputs = head.anchors_a_location * (4 + 2 * head.outputs)
        return cells * (3 * channels + 2 * 4 * 2 * channels + outputs)
    floats = cells * (6 * channels + 5 * head.anchors_a_location)
    regions = settings.sampled_regions
    # RoIAlign keeps the four values that it averages.
    floats += regions * (5 * _BOX**2 * channels + 4 * settings.box_head_channels)
    if settings.masks:
        masked = regions / 4
        floats += masked * _MASK**2 * channels * (5 + 2 * settings.mask_convs)
        floats += masked * MASK_LOGITS**2 * 2 * channels
    return floats
