"""Momentum SGD with the classic weight decay, LARS, and the choice by name."""

from collections.abc import Sequence

import tensorflow as tf

from ssl_tf.networks.precision import full_precision

LARS_VARIANTS = ("byol", "simclr")

LearningRate = float | tf.keras.optimizers.schedules.LearningRateSchedule


class MomentumSGD(tf.keras.optimizers.Optimizer):
    """SGD with momentum and coupled (L2) weight decay, as in torch and optax.

    g' = g + weight_decay w;  m = momentum m + g';  w -= learning_rate m,
    with nesterov w -= learning_rate (g' + momentum m). Keras's own SGD keeps the decay out of the
    momentum and multiplies it by the learning rate.

    Args:
        learning_rate: number or schedule of the optimizer step.
        momentum: decay of the momentum buffer.
        weight_decay: L2 coefficient.
        nesterov: whether to use Nesterov momentum.
        decay_rank_one: whether to decay variables of rank 0 and 1 (biases, normalization) too.
        name: of the optimizer.
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        decay_rank_one: bool = False,
        name: str = "MomentumSGD",
    ):
        # Given a weight decay, the base class would decay a second time, by its own rule.
        super().__init__(name, weight_decay=None, jit_compile=False)
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.momentum = momentum
        self.coupled_weight_decay = weight_decay
        self.nesterov = nesterov
        self.decay_rank_one = decay_rank_one
        self._rate_factors: dict[str, float] = {}
        self._kept_rates: dict[str, float] = {}
        self._held_until: dict[str, int] = {}

    def scale_learning_rate(self, variables: Sequence[tf.Variable], factor: float) -> None:
        """Trains these variables at `factor` times the learning rate."""
        for variable in variables:
            self._rate_factors[self._var_key(variable)] = factor

    def fix_learning_rate(self, variables: Sequence[tf.Variable], rate: float) -> None:
        """Trains these variables at a constant learning rate."""
        for variable in variables:
            self._kept_rates[self._var_key(variable)] = rate

    def hold(self, variables: Sequence[tf.Variable], steps: int) -> None:
        """Leaves these variables and their momentum as they are in the first steps.

        A gradient of 0 alone would not: what is left is the decay, of which LARS makes a step of
        full size. torch passes over parameters without a gradient in the same way.
        """
        for variable in variables:
            self._held_until[self._var_key(variable)] = steps

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self._momentums = [self.add_variable_from_reference(v, "momentum") for v in var_list]
        self._built = True

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        direction = self._direction(gradient, variable)
        steps = self._held_until.get(self._var_key(variable))
        if steps is not None:
            direction = tf.where(self.iterations < steps, tf.zeros_like(direction), direction)
        self._descend(direction, variable, *self._rates_of(variable))

    def _rates_of(self, variable: tf.Variable) -> tuple[float | tf.Tensor, float | tf.Tensor]:
        """The rates of `_descend`."""
        return 1.0, self._rate_of(variable)

    def _rate_of(self, variable: tf.Variable) -> tf.Tensor:
        key = self._var_key(variable)
        if key in self._kept_rates:
            return tf.constant(self._kept_rates[key], variable.dtype)
        rate = tf.cast(self.learning_rate, variable.dtype)
        return rate * self._rate_factors.get(key, 1.0)

    def _direction(self, gradient: tf.Tensor, variable: tf.Variable) -> tf.Tensor:
        """The term that the momentum accumulates: here the gradient of the loss and its L2 term."""
        if variable.shape.rank > 1 or self.decay_rank_one:
            return _add_scaled(gradient, self.coupled_weight_decay, variable)
        return gradient

    def _descend(
        self,
        direction: tf.Tensor,
        variable: tf.Variable,
        inner_rate: float | tf.Tensor,
        outer_rate: float | tf.Tensor,
    ) -> None:
        """m = momentum m + inner_rate direction;  w -= outer_rate m."""
        buffer = self._momentums[self._index_dict[self._var_key(variable)]]
        scaled = inner_rate * direction
        momentum = _add_scaled(scaled, self.momentum, buffer)
        buffer.assign(momentum)
        variable.assign_sub(
            outer_rate * (scaled + self.momentum * momentum if self.nesterov else momentum)
        )


class LARS(MomentumSGD):
    """Layer-wise adaptive rate scaling (You et al. 2017) in the forms of BYOL and SimCLR.

    g' = g + weight_decay w;  d = trust_coefficient |w| / |g'| g' (d = g' if a norm is 0);
    variant "byol":   m = momentum m + d;                w -= learning_rate m
    variant "simclr": m = momentum m + learning_rate d;  w -= m
    (utils/optimizers.py of BYOL's code, tf2/lars_optimizer.py of SimCLR's). They differ only
    while the learning rate changes. Variables of rank 0 and 1 (biases, normalization) are neither
    decayed nor adapted: d = g.

    Args:
        learning_rate: number or schedule of the optimizer step.
        momentum: decay of the momentum buffer.
        weight_decay: L2 coefficient.
        trust_coefficient: eta of the papers.
        variant: "byol" or "simclr".
        name: of the optimizer.

    Raises:
        ValueError: the variant is unknown.
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 1e-3,
        variant: str = "byol",
        name: str = "LARS",
    ):
        if variant not in LARS_VARIANTS:
            raise ValueError(f"LARS variant {variant!r}: one of {LARS_VARIANTS}")
        super().__init__(learning_rate, momentum, weight_decay, name=name)
        self.trust_coefficient = trust_coefficient
        self.variant = variant

    def _rates_of(self, variable: tf.Variable) -> tuple[float | tf.Tensor, float | tf.Tensor]:
        rates = super()._rates_of(variable)
        return rates if self.variant == "byol" else rates[::-1]

    def _direction(self, gradient: tf.Tensor, variable: tf.Variable) -> tf.Tensor:
        gradient = super()._direction(gradient, variable)
        if variable.shape.rank <= 1:
            return gradient
        weight_norm, gradient_norm = _norm(variable), _norm(gradient)
        ratio = self.trust_coefficient * tf.math.divide_no_nan(weight_norm, gradient_norm)
        ratio = tf.where(ratio > 0, ratio, 1.0)
        return tf.cast(ratio, gradient.dtype) * gradient


def build_optimizer(
    name: str,
    learning_rate: LearningRate,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    trust_coefficient: float = 1e-3,
    lars_variant: str = "byol",
    nesterov: bool = False,
    decay_rank_one: bool = False,
    variables: Sequence[tf.Variable] | None = None,
) -> tf.keras.optimizers.Optimizer:
    """The optimizer of a name, without gradient clipping.

    Args:
        name: "lars", "sgd" (`MomentumSGD`) or "adamw" (Keras's, betas 0.9 and 0.999; its decay is
            decoupled and multiplied by the learning rate).
        learning_rate: number or schedule of the optimizer step.
        weight_decay: of variables of rank 2 and more.
        momentum: of lars and sgd.
        trust_coefficient, lars_variant: of lars.
        nesterov: of sgd.
        decay_rank_one: of sgd and adamw: decay biases and normalization parameters too, as MoCo
            does.
        variables: trained variables, from which adamw excludes those of rank 0 and 1.

    Raises:
        ValueError: the name is unknown, or adamw needs the variables and has none.
    """
    if name == "lars":
        return LARS(learning_rate, momentum, weight_decay, trust_coefficient, lars_variant)
    if name == "sgd":
        return MomentumSGD(learning_rate, momentum, weight_decay, nesterov, decay_rank_one)
    if name == "adamw":
        optimizer = tf.keras.optimizers.AdamW(learning_rate, weight_decay, jit_compile=False)
        if not decay_rank_one:
            if variables is None:
                raise ValueError("adamw: give the variables, to exclude those of rank 0 and 1")
            optimizer.exclude_from_weight_decay([v for v in variables if v.shape.rank <= 1])
        return optimizer
    raise ValueError(f"optimizer {name!r}: lars, sgd or adamw")


def _add_scaled(first: tf.Tensor, factor: float, second: tf.Tensor | tf.Variable) -> tf.Tensor:
    """first + factor second, always in this order, so that a run can be repeated bit for bit.

    TensorFlow would merge a plus with the gradient, a sum over views, into one AddN of three terms.
    AddN starts with the term whose memory it can reuse, which depends on the timing of threads.
    Three terms round differently in another order.
    """
    return first - (-factor) * second


def _norm(x: tf.Tensor | tf.Variable) -> tf.Tensor:
    """Euclidean norm, in float32 at least: in half precision small squares vanish."""
    return tf.norm(full_precision(x))
