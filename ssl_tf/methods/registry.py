"""From settings to a method."""

import importlib

import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.methods.base import Method
from ssl_tf.methods.blueprint import Blueprint
from ssl_tf.settings import METHODS, OptimizationSettings, PretrainSettings
from ssl_tf.training.optimizers import build_optimizer
from ssl_tf.training.plan import Plan


def method_class(name: str) -> type[Method]:
    """The class of a row of the table of methods; of all methods only its module is imported."""
    module, _, member = METHODS[name].place.partition(":")
    return getattr(importlib.import_module(f"ssl_tf.methods.{module}"), member)


def build_method(
    settings: PretrainSettings,
    plan: Plan,
    synchronized: bool,
    num_classes: int | None = None,
    multi_label: bool = False,
) -> Method:
    """The method of the settings, with its networks built.

    Args:
        settings: of the run.
        plan: of the run, for schedules and checks inside the method.
        synchronized: batch statistics over all replicas, unless the settings want those of each;
            False on one replica, where the result is the same and the kernel faster.
        num_classes, multi_label: of the labels of the images; None without labels.

    Raises:
        SettingsError: the method cannot work on these images or this batch.
    """
    synchronized = synchronized and settings.model.batch_norm == "synchronized"
    blueprint = Blueprint(settings, plan, synchronized, num_classes, multi_label)
    return method_class(settings.model.method)(blueprint)


def compile_method(
    method: Method, optimization: OptimizationSettings, plan: Plan, precision: str = "float32"
) -> None:
    """Gives the method its optimizer, with all slots built, so that a checkpoint finds them.

    Raises:
        SettingsError: the optimizer has no second rate, which the method wants for some variables.
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
                "--optimizer=adamw: has one rate for all variables, and this method has one of its "
                "own for biases and normalization; give --optimizer=lars or sgd, or --bias_rate=1"
            )
        optimizer.scale_rate(scaled, factor)
    if method.constant_rate_variables:
        if optimization.optimizer == "adamw":
            raise SettingsError(
                "--optimizer=adamw: has one rate for all variables, and that of this method's "
                "predictor stays constant; give --optimizer=sgd or lars"
            )
        optimizer.keep_rate(method.constant_rate_variables, plan.learning_rate)
    if precision == "mixed_float16":
        # Gradients below 6e-8 are zero in half precision: losses are scaled up, and a step whose
        # gradients overflow is left out (and counted all the same).
        optimizer = tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
    optimizer.build(method.learned_variables)
    method.accumulate = optimization.accumulate
    method.last_step = plan.total_steps
    method.compile(optimizer=optimizer)
