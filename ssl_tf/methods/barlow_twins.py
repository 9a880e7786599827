"""Barlow Twins (Zbontar et al. 2021): the dimensions of two views' embeddings correlate one to one.

The cross-correlation of the two views over the batch is moved towards the identity: each dimension
agrees with itself, and tells nothing of another one.
"""

import tensorflow as tf

from ssl_tf.methods import losses
from ssl_tf.methods.base import Batch, Tensors
from ssl_tf.methods.branch import Heads
from ssl_tf.methods.network_builder import NetworkBuilder
from ssl_tf.methods.online_network import OnlineNetwork
from ssl_tf.methods.online_views import OnlineViews
from ssl_tf.networks.precision import full_precision
from ssl_tf.networks.replicas import gather
from ssl_tf.settings.methods import BarlowTwinsFlags, ProjectorFlags


class BarlowTwins(OnlineNetwork):
    """One network; the loss is of the global batch, with the embeddings of all replicas gathered.

    The last normalization of the projector, without scale and offset, is the one of Eq. 2: it gives
    every dimension mean 0 and variance 1 over the batch. More than two views are compared pair by
    pair, and the losses averaged. With `--accumulate` the correlation is that of a part over all
    replicas.

    Biases and normalization have a learning rate of their own (section 2.2, `--bias_rate`).
    """

    scaled_rate_flag = "bias_rate"

    def __init__(self, builder: NetworkBuilder):
        optimization = builder.settings.optimization
        flags, dim = builder.flags(BarlowTwinsFlags), builder.flags(ProjectorFlags).projection
        part = optimization.batch_size // optimization.accumulate
        # Independent embeddings: each correlation is 0 with variance 1 / part.
        chance = dim * (1 + 1 / part) + flags.redundancy_weight * dim * (dim - 1) / part
        super().__init__(builder, chance)
        self.redundancy_weight = flags.redundancy_weight
        self.bias_rate = flags.bias_rate

    @staticmethod
    def build_heads(builder: NetworkBuilder) -> Heads:
        return {"projector": builder.normalized_mlp(last_scale=False)}

    @property
    def scaled_rate_variables(self) -> tuple[list[tf.Variable], float]:
        if self.bias_rate == 1:
            return [], 1.0
        return [v for v in self.learned_variables if v.shape.rank <= 1], self.bias_rate

    def compare(self, batch: Batch, online: OnlineViews, training: bool) -> tuple[Tensors, Tensors]:
        """The pair loss, a scalar, averaged over the compared pairs."""
        embeddings = {}
        for view in self.used_views:
            surroundings = self.is_surroundings(view)
            projected = self.online.project("projector", online[view], surroundings, training)
            embeddings[view], _ = gather(full_precision(projected))
        terms = [
            redundancy_loss(embeddings[a], embeddings[b], self.redundancy_weight)
            for a, b in self.pairs
        ]
        return {"redundancy_loss": losses.summed(terms) / len(terms)}, {}


def redundancy_loss(one: tf.Tensor, two: tf.Tensor, weight: float) -> tf.Tensor:
    """Distance of the cross-correlation C of two views from the identity: scalar (Eq. 1).

    sum_i (1 - C_ii)^2 + weight sum_{i != j} C_ij^2.

    Args:
        one, two: [N, D], each column of mean 0 and variance 1 over the batch.
        weight: lambda.
    """
    correlation = tf.matmul(one, two, transpose_a=True) / tf.cast(tf.shape(one)[0], one.dtype)
    agreement = tf.linalg.diag_part(correlation)
    redundancy = tf.linalg.set_diag(correlation, tf.zeros_like(agreement))
    return tf.reduce_sum((1 - agreement) ** 2) + weight * tf.reduce_sum(redundancy**2)
