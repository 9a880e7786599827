"""A method with its optimizer, as a run trains it."""

import sys

import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.methods.base import Method
from ssl_tf.methods.batch_parts import check_parts
from ssl_tf.methods.registry import build_method
from ssl_tf.networks.precision import policy_scope
from ssl_tf.settings import OptimizationSettings, PretrainSettings
from ssl_tf.training.optimizers import build_optimizer
from ssl_tf.training.plan import Plan
from ssl_tf.training.strategy import should_jit_compile


def build_compiled(
    settings: PretrainSettings,
    strategy: tf.distribute.Strategy,
    plan: Plan,
    num_classes: int | None = None,
    multi_label: bool = False,
) -> Method:
    """The method of a run, compiled, with its first weights on the replicas.

    Args:
        settings: of the run.
        strategy: whose replicas train.
        plan: of the run.
        num_classes, multi_label: of the labels of the images; None without labels.

    Raises:
        SettingsError: the method cannot work on these images, this batch or this optimizer, or the
            step cannot be compiled by XLA.
    """
    run, replicas = settings.run, strategy.num_replicas_in_sync
    with strategy.scope(), policy_scope(run.precision):
        method = build_method(settings, plan, replicas > 1, num_classes, multi_label)
        check_parts(method, settings, replicas)
        _tell_parts(settings, replicas)
        compile_method(method, settings.optimization, plan, run.precision)
    method.compile_step = should_jit_compile(run.xla, strategy)
    return method


def _tell_parts(settings: PretrainSettings, replicas: int) -> None:
    """Says on stderr where --accumulate or one replica change what a flag or a loss does."""
    optimization = settings.optimization
    if settings.model.batch_norm == "shuffled" and replicas == 1:
        print(
            "--batch_norm=shuffled: one replica has nothing to shuffle, so queries and keys are "
            "normalized by the same batch",
            file=sys.stderr,
        )
    if settings.model.row.batch_loss and optimization.accumulate > 1:
        print(
            f"--accumulate={optimization.accumulate}: the loss of {settings.model.method} compares "
            f"the {optimization.batch_size // optimization.accumulate} images of a part, not those "
            "of the batch",
            file=sys.stderr,
        )


def steps_at_once(settings: PretrainSettings, plan: Plan) -> int:
    """--steps_per_execution, cut to the shortest interval of what waits for an execution's end.

    These are lines, looks and checkpoints; a cut is told on stderr.
    """
    run, monitor = settings.run, settings.monitor
    intervals = {
        "log_every": monitor.log_every,
        "monitor_every": plan.steps_of(monitor.monitor_every),
        "checkpoint_every": plan.steps_of(run.checkpoint_every),
    }
    shortest = min(intervals, key=intervals.get)
    if run.steps_per_execution > intervals[shortest]:
        print(
            f"--steps_per_execution={run.steps_per_execution}: cut to {intervals[shortest]}, the "
            f"steps of --{shortest}",
            file=sys.stderr,
        )
    return min(run.steps_per_execution, intervals[shortest])


def compile_method(
    method: Method, optimization: OptimizationSettings, plan: Plan, precision: str = "float32"
) -> None:
    """Compiles a method with its optimizer and builds all slots, so that a checkpoint finds them.

    Raises:
        SettingsError: some variables need their own learning rate, and the optimizer has one rate
            for all.
    """
    optimizer = build_optimizer(
        optimization.optimizer,
        plan.learning_rate_schedule(),
        weight_decay=optimization.weight_decay,
        momentum=optimization.momentum,
        trust_coefficient=optimization.trust_coefficient,
        lars_variant=optimization.lars_variant,
        decay_rank_one=optimization.decay_rank_one,
        variables=method.learned_variables,
    )
    scaled, factor = method.scaled_rate_variables
    if scaled:
        if optimization.optimizer == "adamw":
            raise SettingsError(
                "--optimizer=adamw: has one rate for all variables, and this method another one "
                "for some of them; give --optimizer=lars or sgd, or "
                f"--{method.scaled_rate_flag}=1"
            )
        optimizer.scale_learning_rate(scaled, factor)
    if method.constant_rate_variables:
        if optimization.optimizer == "adamw":
            raise SettingsError(
                "--optimizer=adamw: has one rate for all variables, and that of this method's "
                "predictor stays constant; give --optimizer=sgd or lars"
            )
        optimizer.fix_learning_rate(method.constant_rate_variables, plan.learning_rate)
    held, steps = method.held_variables
    if optimization.optimizer != "adamw":
        optimizer.hold(held, steps)
    elif steps:
        # Its averages count the steps without a gradient: the first ones with one are too long.
        raise SettingsError(
            "--optimizer=adamw: cannot leave the prototypes out of its first steps; give "
            "--freeze_prototypes=0, or --optimizer=lars or sgd"
        )
    method.accumulate = optimization.accumulate
    method.compile_training(optimizer, precision=precision, last_step=plan.total_steps)
