"""From settings to a method: a new method is its file and one line here."""

import functools

import tensorflow as tf

from ssl_tf.methods.base import Method
from ssl_tf.methods.byol import BYOL, MaSsrl
from ssl_tf.networks.heads import build_mlp
from ssl_tf.networks.resnet import build_resnet, feature_dim
from ssl_tf.settings import ModelSettings, OptimizationSettings, PretrainSettings
from ssl_tf.training.optimizers import build_optimizer
from ssl_tf.training.plan import Plan

METHODS = {"ma_ssrl": MaSsrl, "byol": BYOL}


def build_encoder(model: ModelSettings, seed: int, synchronized: bool = False):
    """The encoder a run starts from: normalized images [N, H, W, 3] -> features [N, D]."""
    return build_resnet(model.depth, model.width, model.stem, synchronized=synchronized, seed=seed)


def build_method(settings: PretrainSettings, total_steps: int, synchronized: bool) -> Method:
    """The method of the settings, with its networks built.

    Args:
        settings: of the run.
        total_steps: optimizer steps of the run, for schedules inside the method.
        synchronized: batch statistics over all replicas; False on one replica, where the result is
            the same and the kernel faster.
    """
    model, seed = settings.model, settings.run.seed
    features = feature_dim(model.depth, model.width)
    mlp = functools.partial(
        build_mlp,
        hidden=model.projector_hidden,
        output=model.projection,
        synchronized=synchronized,
        seed=seed,
    )
    return METHODS[model.method](
        make_encoder=lambda: build_encoder(model, seed, synchronized),
        make_projector=lambda: mlp(features, name="projector"),
        predictor=mlp(model.projection, name="predictor"),
        pairs=settings.views.pairs,
        total_steps=total_steps,
        tau=model.tau,
    )


def compile_method(
    method: Method, optimization: OptimizationSettings, plan: Plan, precision: str = "float32"
) -> None:
    """Gives the method its optimizer, with all slots built, so that a checkpoint finds them."""
    optimizer = build_optimizer(
        optimization.optimizer,
        plan.learning_rate_schedule(),
        weight_decay=optimization.weight_decay,
        momentum=optimization.momentum,
        trust_coefficient=optimization.trust_coefficient,
        lars_variant=optimization.lars_variant,
        variables=method.learned_variables,
    )
    if precision == "mixed_float16":
        # Gradients below 6e-8 are zero in half precision: losses are scaled up, and a step whose
        # gradients overflow is left out (and counted all the same).
        optimizer = tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
    optimizer.build(method.learned_variables)
    method.accumulate = optimization.accumulate
    method.last_step = plan.total_steps
    method.compile(optimizer=optimizer)
