"""SimCLR (Chen et al. 2020): tell the other view of the same image from all views of the batch."""

import math

import tensorflow as tf

from ssl_tf.methods import losses
from ssl_tf.methods.base import Batch, Tensors
from ssl_tf.methods.branch import Heads
from ssl_tf.methods.network_builder import NetworkBuilder
from ssl_tf.methods.online_network import OnlineNetwork
from ssl_tf.methods.online_views import OnlineViews
from ssl_tf.networks.replicas import gather
from ssl_tf.settings.methods import TemperatureFlags


class SimCLR(OnlineNetwork):
    """One network; NT-Xent (Eq. 1) between two views, with the global batch as negatives.

    The embeddings of all replicas are gathered, so that each view has one positive and 2 N - 2
    negatives, N the global batch; with `--accumulate` N is that of a part over all replicas. More
    than two views are compared pair by pair, each pair by itself, and the losses averaged.

    The loss of an example is the mean over both directions, so that the mean over examples is the
    1 / (2 N) of Algorithm 1. SimCLR's code (tf2/objective.py) takes their sum, twice as much; LARS
    does not see that in the weights that it adapts. There batch statistics are those of both views
    together, here of each view, as in BYOL.
    """

    def __init__(self, builder: NetworkBuilder):
        optimization = builder.settings.optimization
        part = optimization.batch_size // optimization.accumulate
        # What equal embeddings cost; independent directions cost a little more (`losses.nt_xent`).
        super().__init__(builder, chance=math.log(2 * part - 1))
        self.temperature = builder.flags(TemperatureFlags).temperature

    @staticmethod
    def build_heads(builder: NetworkBuilder) -> Heads:
        return {"projector": builder.normalized_mlp(last_scale=True)}

    def compare(self, batch: Batch, online: OnlineViews, training: bool) -> tuple[Tensors, Tensors]:
        """The pair loss, averaged over the compared pairs."""
        embeddings, gathered = {}, {}
        for view in self.used_views:
            surroundings = self.is_surroundings(view)
            projected = self.online.project("projector", online[view], surroundings, training)
            embeddings[view] = losses.unit_rows(projected)
            gathered[view], own = gather(embeddings[view])
        terms = []
        for a, b in self.pairs:
            candidates = tf.concat([gathered[a], gathered[b]], axis=0)
            one, two, count = embeddings[a], embeddings[b], tf.shape(gathered[a])[0]
            terms.append(losses.nt_xent(one, two, candidates, own, self.temperature))
            terms.append(losses.nt_xent(two, one, candidates, count + own, self.temperature))
        return {"contrastive_loss": losses.summed(terms) / len(terms)}, {}
