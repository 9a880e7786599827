"""The plan of a segmentation from its settings: no step is taken, nothing is written."""

import tensorflow as tf

from ssl_tf.data.annotations.annotated_source import AnnotatedSource
from ssl_tf.downstream.downstream_model import compile_model, freeze
from ssl_tf.downstream.starting_encoders import StartingEncoder
from ssl_tf.networks.precision import policy_scope
from ssl_tf.networks.resnet import SPATIAL_FEATURES, activation_floats
from ssl_tf.segmentation.segmentation_task import Segmentation
from ssl_tf.training.checkpoints import checkpoint_bytes

_GIB = 2**30
# Scores, probabilities and their gradients, of each pixel and class.
_SCORE_COPIES = 3


def describe(
    task: Segmentation,
    starts: list[StartingEncoder],
    unlabelled: AnnotatedSource,
    strategy: tf.distribute.Strategy,
) -> str:
    """The plan of a segmentation as text, one fact a line.

    Args:
        task: of the labelled images.
        starts: the encoders.
        unlabelled: all images to learn from, labelled or not.
        strategy: of the training.
    """
    settings, segmenter = task.settings, task.segmenter
    with policy_scope(settings.precision):
        encoder = starts[0].build(False)
        freeze(encoder, settings)
        model = task.build(encoder, False)
        compile_model(model, settings)
    saved = [*model.encoder.variables, *model.head.variables, *model.optimizer.variables]
    learned = sum(variable.shape.num_elements() for variable in model.learned_variables)
    side, batch = segmenter.crop_size, settings.batch_size
    maps = tf.keras.Model(model.encoder.input, model.encoder.get_layer(SPATIAL_FEATURES).output)
    per_image = 4.0 * (
        activation_floats(maps, side) + _SCORE_COPIES * side * side * model.num_classes
    )
    state = checkpoint_bytes(saved) + checkpoint_bytes(model.learned_variables)
    epochs = settings.steps * batch / task.train.size
    lines = [
        f"images            {task.train.size} of {unlabelled.size} ({task.train.name})",
        f"test              {task.test.size} ({task.test.name})",
        f"classes           {model.num_classes}",
        f"encoders          {', '.join(f'{s.name}: {s.origin}' for s in starts)}",
        f"network           {segmenter.head} at stride {model.stride}, crops of {side} px",
        f"steps             {settings.steps} of batch {batch} ({epochs:.3g} epochs), each encoder",
        f"learning rate     {settings.learning_rate:g} at its peak, {settings.schedule}, "
        f"{settings.optimizer}; new layers x {settings.head_rate:g}",
        f"parameters        {learned:,} learned",
        f"checkpoint        {checkpoint_bytes(saved) / 2**20:.0f} MiB, 2 kept",
        f"replicas here     {strategy.num_replicas_in_sync}",
    ]
    for count in sorted({1, 8, strategy.num_replicas_in_sync}):
        if batch % (count * settings.accumulate):
            continue
        share = batch / count / settings.accumulate
        lines.append(
            f"memory a replica  {(state + per_image * share) / _GIB:.1f} GiB on {count} "
            f"({state / _GIB:.1f} variables and gradients, the rest activations; estimated)"
        )
    return "\n".join(lines)
