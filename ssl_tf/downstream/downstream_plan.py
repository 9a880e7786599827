"""The plan of a training on annotated images: no step is taken, nothing is written."""

import tensorflow as tf

from ssl_tf.data.annotations.annotated_source import AnnotatedSource
from ssl_tf.downstream.downstream_model import compile_model, freeze
from ssl_tf.downstream.downstream_training import Task
from ssl_tf.downstream.starting_encoders import StartingEncoder
from ssl_tf.networks.precision import activation_bytes, policy_scope
from ssl_tf.training.checkpoints import checkpoint_bytes

_GIB = 2**30


def describe(
    task: Task,
    starts: list[StartingEncoder],
    unlabelled: AnnotatedSource,
    strategy: tf.distribute.Strategy,
) -> str:
    """The plan as text, one fact a line.

    Args:
        task: of the labelled images.
        starts: the encoders.
        unlabelled: all images to learn from, labelled or not.
        strategy: of the training.
    """
    settings, batch = task.settings, task.settings.batch_size
    with policy_scope(settings.precision):
        encoder = starts[0].build(False)
        freeze(encoder, settings)
        model = task.build(encoder, False)
        compile_model(model, settings)
    saved = [*model.encoder.variables, *model.head.variables, *model.optimizer.variables]
    learned = sum(variable.shape.num_elements() for variable in model.learned_variables)
    # The sums over parts stand beside the gradients of the part that is passed.
    gradients = checkpoint_bytes(model.learned_variables) * (1 if settings.accumulate == 1 else 2)
    state = checkpoint_bytes(saved) + gradients
    an_image = activation_bytes(settings.precision) * task.activation_floats(model)
    lines = [
        f"images            {task.train.size} of {unlabelled.size} ({task.train.name})",
        f"test              {task.test.size} ({task.test.name})",
        f"classes           {task.train.num_classes}",
        f"encoders          {', '.join(f'{s.name}: {s.origin}' for s in starts)}",
        f"network           {task.told_network(model)}",
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
        memory = state + an_image * batch / count / settings.accumulate
        lines.append(
            f"memory a replica  {memory / _GIB:.1f} GiB on {count} "
            f"({state / _GIB:.1f} variables and gradients, the rest activations; estimated)"
        )
    return "\n".join([*lines, *(f"departs           {remark}" for remark in task.remarks)])
