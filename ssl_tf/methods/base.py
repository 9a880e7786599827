"""What every method is: a Keras model that turns views into losses.

A method names its networks, gives the losses of a batch in `forward` and says in `after_step` what
follows the optimizer (the EMA of a target, a queue). Everything else, gradients, replicas, logs, is
here.
"""

import abc

import tensorflow as tf

from ssl_tf.methods.losses import summed
from ssl_tf.networks.replicas import replica_sum
from ssl_tf.training.accumulation import accumulated
from ssl_tf.training.execution import TimedModel
from ssl_tf.training.gradients import apply_gradients, scale_logs, scaled_loss

Batch = dict[str, tf.Tensor | tuple[tf.Tensor, ...]]
Tensors = dict[str, tf.Tensor]
Pairs = tuple[tuple[int, int], ...]


class Method(TimedModel, abc.ABC):
    """Base of all methods.

    Subclasses implement `learned_networks`, `forward` and `embed`. They may override
    `target_networks`, `state`, `after_step`, `step_logs` and what the optimizer does to variables.

    Attributes:
        encoder: images to features, the network that is kept. Subclasses must set it.
        needs: what the method takes from the view recipe beside "views".
        chance_loss: the loss of independent random embeddings, logged beside the loss. None, the
            default, logs nothing.
        encoder_passes: how many forward passes of the encoder on views of --image_size a step
            keeps for the gradients. Estimates of memory and work read it.
        target_passes: how many forward passes of the target encoder on such views it takes.
        scaled_rate_flag: the flag with the multiple of `scaled_rate_variables`.
        against_collapse: what to do about a collapse, for the warning of the monitors.
        pairs: the pairs of views that are compared.
        used_views: the views in `pairs`, sorted.
    """

    scaled_rate_flag = ""
    against_collapse = "Lower --base_learning_rate or lengthen --warmup_epochs"
    chance_loss: float | None = None
    encoder: tf.keras.Model
    encoder_passes: int = 2
    target_passes: int = 0
    needs: tuple[str, ...] = ()

    def __init__(self, pairs: Pairs = ()):
        super().__init__(name=type(self).__name__.lower())
        self.pairs = pairs
        self.used_views = tuple(sorted({view for pair in pairs for view in pair}))
        self.accumulate = 1

    @staticmethod
    def is_surroundings(view: int | tf.Tensor) -> bool | tf.Tensor:
        """Whether a view shows an object's surroundings, where --crops=object_dilated.

        Even views are cropped in the object, odd ones in the dilated object.
        """
        return view % 2 == 1

    @property
    @abc.abstractmethod
    def learned_networks(self) -> dict[str, tf.keras.Model]:
        """The networks that the optimizer moves, by their names in a checkpoint.

        The order is that of the optimizer's variables, so it must not change between versions.
        """

    @property
    def target_networks(self) -> dict[str, tf.keras.Model]:
        """The networks that the optimizer does not move, by their names in a checkpoint."""
        return {}

    @property
    def networks(self) -> dict[str, tf.keras.Model]:
        """All networks by name, as they stand in a checkpoint."""
        return {**self.learned_networks, **self.target_networks}

    @property
    def learned_variables(self) -> list[tf.Variable]:
        """The variables that the optimizer moves, in a fixed order."""
        return [
            v for network in self.learned_networks.values() for v in network.trainable_variables
        ]

    @property
    def constant_rate_variables(self) -> list[tf.Variable]:
        """Learned variables whose rate stays at the peak; those of no method but SimSiam."""
        return []

    @property
    def scaled_rate_variables(self) -> tuple[list[tf.Variable], float]:
        """Learned variables whose rate is a multiple of the others', and that multiple."""
        return [], 1.0

    @property
    def held_variables(self) -> tuple[list[tf.Variable], int]:
        """Learned variables that the optimizer leaves alone at first, and for how many steps."""
        return [], 0

    @property
    def state(self) -> dict[str, tf.Variable]:
        """What a checkpoint holds beside networks and optimizer: queues, running means."""
        return {}

    @abc.abstractmethod
    def forward(self, batch: Batch, training: bool) -> tuple[Tensors, Tensors]:
        """Losses of this replica's share of a batch. Called in replica context.

        A loss of each example, [N], is averaged over the global batch. A loss of the whole batch
        is a scalar. It must be the same on all replicas, so it must be a function of tensors that
        are gathered over them (`replicas.gather`); then one step on many replicas is that on one.
        With --accumulate "the batch" is a part of it over all replicas, and the parts' losses are
        averaged.

        Args:
            batch: "views", V uint8 [N, S, S, 3], small ones last, and what else `needs` names,
                each with a leading dimension N.
            training: whether batch statistics are used and updated.

        Returns:
            losses: name -> float32 [N] or scalar; the total is the sum over names.
            kept: name -> [N, ...], without gradient, what `after_step` needs of the batch (the keys
                of a queue).
        """

    @abc.abstractmethod
    def embed(self, images: tf.Tensor, view: int | tf.Tensor = 0) -> tuple[tf.Tensor, tf.Tensor]:
        """Features [N, D] and embeddings [N, E] of uint8 images [N, S, S, 3], for the monitors.

        In inference mode: moving batch statistics, nothing is updated.

        Args:
            images: of one view.
            view: its number, an int or an int32 scalar; it tells the head that learned from it.
        """

    def after_step(self, step: tf.Tensor, kept: Tensors) -> None:
        """Called in replica context once an optimizer step.

        Args:
            step: the one just taken, from 0.
            kept: what `forward` kept of this replica's share of the step's global batch.
        """
        return None  # AutoGraph cannot convert a body that is only a docstring

    def step_logs(self, step: tf.Tensor) -> Tensors:
        """Further scalars to log at a step, equal on all replicas."""
        return {}

    def train_step(self, batch: Batch) -> Tensors:
        """One optimizer step on the global batch; returns its losses, means over replicas.

        With `accumulate` = K, K parts of the batch are passed one after the other and their
        gradients summed. It is the step on the whole batch but for batch normalization, whose
        statistics are those of a part, and for losses that compare the images of a batch
        (`MethodRow.batch_loss`); schedules, EMA and queue move once.
        """
        gradients, shares, kept = accumulated(self._gradients, batch, self.accumulate)
        step = tf.identity(self.optimizer.iterations)
        apply_gradients(self.optimizer, gradients, self.learned_variables)
        self.after_step(step, kept)
        shares = replica_sum({"loss": summed(shares.values()), **shares})
        return {**shares, **scale_logs(self.optimizer), **self.step_logs(step)}

    def _gradients(self, batch: Batch) -> tuple[list[tf.Tensor], Tensors, Tensors]:
        """Gradients of this replica's share of the loss, the share by name, and what is kept.

        Each replica holds an equal part of the batch and of each accumulated part, so the mean over
        the global batch is the sum of (local mean / their number); the optimizer sums gradients. A
        scalar that all replicas share is the sum of their equal fractions in the same way, and what
        one replica's fraction asks of another's examples comes back through the gathering.
        """
        parts = tf.distribute.get_strategy().num_replicas_in_sync * self.accumulate
        with tf.GradientTape() as tape:
            losses, kept = self.forward(batch, training=True)
            shares = {name: tf.reduce_mean(value) / parts for name, value in losses.items()}
            total = scaled_loss(self.optimizer, summed(shares.values()))
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
