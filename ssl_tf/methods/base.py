"""What every method is: a Keras model that turns views into losses.

A method names its networks, gives the losses of a batch in `forward` and says in `after_step` what
follows the optimizer (the EMA of a target, a queue). Everything else, gradients, replicas, logs, is
here.
"""

from collections.abc import Callable

import tensorflow as tf

Batch = dict[str, tf.Tensor | tuple[tf.Tensor, ...]]
Tensors = dict[str, tf.Tensor]


class Method(tf.keras.Model):
    """Base of all methods.

    Subclasses set `encoder` (images to features, the network that is kept), `needs` (what they
    take from the view recipe beside "views"), `encoder_passes` (forward passes of the encoder that
    a step keeps for the gradients) and `chance_loss` (the loss of independent random embeddings;
    None where there is none), and implement `forward`, `learned_variables`, `networks`
    and, where something follows a step, `after_step`, and where something beside networks is to be
    kept in checkpoints, `state`.
    """

    chance_loss: float | None = None
    encoder: tf.keras.Model
    encoder_passes: int
    needs: tuple[str, ...] = ()

    def __init__(self, name: str):
        super().__init__(name=name)
        # What train_step returns is reduced already; Keras would sum it over replicas once more.
        self.distribute_reduction_method = "first"
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
    def state(self) -> dict[str, tf.Variable]:
        """What a checkpoint holds beside networks and optimizer: queues and their positions."""
        return {}

    def forward(self, batch: Batch, training: bool) -> tuple[Tensors, Tensors]:
        """Losses of this replica's share of a batch.

        Args:
            batch: "views", V uint8 [N, S, S, 3], and what else `needs` names, each with a leading
                dimension N.
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

    def step_logs(self, step: tf.Tensor) -> Tensors:
        """Further scalars to log at a step, equal on all replicas."""
        return {}

    def train_step(self, batch: Batch) -> Tensors:
        """One optimizer step on the global batch; returns its losses, means over replicas."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        batch = dict(batch)
        if "drawn" in batch:
            batch["views"] = self.augment(batch["views"], batch.pop("drawn"))
            if "original" in self.needs:
                *views, batch["original"] = batch["views"]
                batch["views"] = tuple(views)
        with tf.GradientTape() as tape:
            losses, kept = self.forward(batch, training=True)
            # Each replica holds an equal share of the batch, so the mean over the global batch is
            # the sum over replicas of (local mean / replicas); the optimizer sums gradients.
            shares = {name: tf.reduce_mean(value) / replicas for name, value in losses.items()}
            total = tf.add_n(list(shares.values()))
        variables = self.learned_variables
        gradients = tape.gradient(total, variables)
        step = tf.identity(self.optimizer.iterations)
        self.optimizer.apply_gradients(zip(gradients, variables))
        self.after_step(step, kept)
        context = tf.distribute.get_replica_context()
        shares = context.all_reduce(tf.distribute.ReduceOp.SUM, {"loss": total, **shares})
        return {**shares, **self.step_logs(step)}


def move_towards(targets: list[tf.Variable], online: list[tf.Variable], tau: tf.Tensor) -> None:
    """target <- tau * target + (1 - tau) * online, on every replica; called in replica context.

    Args:
        targets, online: variables in the same order.
        tau: float32 scalar, equal on all replicas.
    """

    def assign(target: tf.Variable, source: tf.Tensor, decay: tf.Tensor) -> tf.Tensor:
        decay = tf.cast(decay, target.dtype)
        return target.assign(decay * target + (1 - decay) * source)

    def on_all_replicas(strategy: tf.distribute.Strategy, decay: tf.Tensor) -> None:
        for target, source in zip(targets, online):
            strategy.extended.update(target, assign, args=(source, decay), group=False)

    tf.distribute.get_replica_context().merge_call(on_all_replicas, args=(tau,))
