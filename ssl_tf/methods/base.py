"""What every method is: a Keras model that turns views into losses.

A method names its networks, gives the losses of a batch in `forward` and says in `after_step` what
follows the optimizer (the EMA of a target, a queue). Everything else, gradients, replicas, logs, is
here.
"""

from collections.abc import Callable

import tensorflow as tf

from ssl_tf.methods.losses import summed
from ssl_tf.training.accumulation import accumulated
from ssl_tf.training.execution import TimedModel

Batch = dict[str, tf.Tensor | tuple[tf.Tensor, ...]]
Tensors = dict[str, tf.Tensor]


class Method(TimedModel):
    """Base of all methods.

    Subclasses set `encoder` (images to features, the network that is kept), `needs` (what they
    take from the view recipe beside "views"), `encoder_passes` (forward passes of the encoder that
    a step keeps for the gradients), `chance_loss` (the loss of independent random embeddings;
    None where there is none) and, where other things help, `against_collapse` (what to do about
    it, as the monitors say), and implement `forward`, `learned_variables`, `networks`
    and, where something follows a step, `after_step`, and where something beside networks is to be
    kept in checkpoints, `state`.
    """

    against_collapse = "Lower --base_learning_rate or lengthen --warmup_epochs"
    chance_loss: float | None = None
    encoder: tf.keras.Model
    encoder_passes: int
    needs: tuple[str, ...] = ()

    def __init__(self, name: str):
        super().__init__(name=name)
        self.accumulate = 1
        # `augment(views, drawn)` gives the views of a batch that comes with "drawn".
        self.augment: Callable[[tuple, dict], tuple] | None = None

    @property
    def networks(self) -> dict[str, tf.keras.Model]:
        """All networks by name, as they stand in a checkpoint."""
        raise NotImplementedError

    @property
    def learned_variables(self) -> list[tf.Variable]:
        """The variables that the optimizer moves, in a fixed order."""
        raise NotImplementedError

    @property
    def constant_rate_variables(self) -> list[tf.Variable]:
        """Learned variables whose rate stays at the peak; those of no method but SimSiam."""
        return []

    @property
    def state(self) -> dict[str, tf.Variable]:
        """What a checkpoint holds beside networks and optimizer: queues and their positions."""
        return {}

    def forward(self, batch: Batch, training: bool) -> tuple[Tensors, Tensors]:
        """Losses of this replica's share of a batch.

        Args:
            batch: "views", V uint8 [N, S, S, 3], small ones last, and what else `needs` names,
                each with a leading dimension N.
            training: whether batch statistics are used and updated.

        Returns:
            losses: name -> float32 [N], one number an example; the total is the sum over names.
            kept: name -> [N, ...], without gradient, what `after_step` needs of the batch (the keys
                of a queue).
        """
        raise NotImplementedError

    def embed(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Features [N, D] and embeddings [N, E] of uint8 images [N, S, S, 3], for the monitors.

        In inference mode: moving batch statistics, nothing is updated.
        """
        raise NotImplementedError

    def after_step(self, step: tf.Tensor, kept: Tensors) -> None:
        """Called in replica context once an optimizer step.

        Args:
            step: the one just taken, from 0.
            kept: what `forward` kept of this replica's share of the step's global batch.
        """
        return None  # of a body of words alone AutoGraph would complain

    def step_logs(self, step: tf.Tensor) -> Tensors:
        """Further scalars to log at a step, equal on all replicas."""
        return {}

    def train_step(self, batch: Batch) -> Tensors:
        """One optimizer step on the global batch; returns its losses, means over replicas.

        With `accumulate` = K, K parts of the batch are passed one after the other and their
        gradients summed. It is the step on the whole batch but for batch normalization, whose
        statistics are those of a part; schedules, EMA and queue move once.
        """
        batch = dict(batch)
        if "drawn" in batch:
            batch["views"] = self.augment(batch["views"], batch.pop("drawn"))
            if "original" in self.needs:
                *views, batch["original"] = batch["views"]
                batch["views"] = tuple(views)
        gradients, shares, kept = accumulated(self._gradients, batch, self.accumulate)
        if isinstance(self.optimizer, tf.keras.mixed_precision.LossScaleOptimizer):
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        step = tf.identity(self.optimizer.iterations)
        self.optimizer.apply_gradients(zip(gradients, self.learned_variables))
        self.after_step(step, kept)
        context = tf.distribute.get_replica_context()
        total = summed(shares.values())
        shares = context.all_reduce(tf.distribute.ReduceOp.SUM, {"loss": total, **shares})
        return {**shares, **self.step_logs(step)}

    def _gradients(self, batch: Batch) -> tuple[list[tf.Tensor], Tensors, Tensors]:
        """Gradients of this replica's share of the loss, the share by name, and what is kept.

        Each replica holds an equal part of the batch and of each accumulated part, so the mean over
        the global batch is the sum of (local mean / their number); the optimizer sums gradients.
        """
        parts = tf.distribute.get_strategy().num_replicas_in_sync * self.accumulate
        with tf.GradientTape() as tape:
            losses, kept = self.forward(batch, training=True)
            shares = {name: tf.reduce_mean(value) / parts for name, value in losses.items()}
            total = summed(shares.values())
            if isinstance(self.optimizer, tf.keras.mixed_precision.LossScaleOptimizer):
                total = self.optimizer.get_scaled_loss(total)
        return tape.gradient(total, self.learned_variables), shares, kept


def move_towards(targets: list[tf.Variable], online: list[tf.Variable], tau: tf.Tensor) -> None:
    """target <- tau * target + (1 - tau) * online; called in replica context.

    Every replica moves its own copies, which stay equal because all that they depend on is.

    Args:
        targets, online: variables in the same order.
        tau: float32 scalar, equal on all replicas.
    """
    for target, source in zip(targets, online):
        decay = tf.cast(tau, target.dtype)
        target.assign(decay * target + (1 - decay) * source)
