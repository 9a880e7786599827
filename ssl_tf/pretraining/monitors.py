"""Watching the representation while it grows, and saying plainly when it collapses."""

import math
import sys

import numpy as np
import tensorflow as tf

from ssl_tf.data.batches import training_batches
from ssl_tf.data.order import Steps
from ssl_tf.data.source import Source
from ssl_tf.evaluation import metrics
from ssl_tf.evaluation.features import FeatureReader
from ssl_tf.evaluation.knn import knn_accuracy, knn_map
from ssl_tf.methods.base import Method
from ssl_tf.settings import MonitorSettings
from ssl_tf.training.callbacks import StepCallback
from ssl_tf.training.run_log import RunLog
from ssl_tf.views.recipe import Recipe

_BATCH = 250

# A healthy embedding has a standard deviation of about 1/sqrt(d) in each dimension (SimSiam 4.1);
# a collapsed one 0. A tenth of it is far below anything a learning network shows after its first
# steps. An effective rank of 2 is a line: all embeddings differ along one direction.
COLLAPSED_STD = 0.1
COLLAPSED_RANK = 2.0


def collapse_verdict(embedding_std: float, rankme: float, dimension: int) -> str | None:
    """The reason to call an embedding collapsed, or None.

    Args:
        embedding_std: of the l2-normalized embedding, mean over dimensions.
        rankme: effective rank.
        dimension: d.
    """
    healthy = 1 / math.sqrt(dimension)
    if embedding_std < COLLAPSED_STD * healthy:
        return (
            f"the standard deviation of the normalized embedding is {embedding_std:.2g} "
            f"(healthy: about {healthy:.2g})"
        )
    if rankme < COLLAPSED_RANK:
        return f"the effective rank of the embedding is {rankme:.2g} of {dimension}"
    return None


class RepresentationMonitor(StepCallback):
    """kNN accuracy, embedding spread, effective rank, alignment and uniformity.

    kNN: a labelled bank from the training images, queries from the held-out ones, features of the
    online encoder; of images with several labels the mean average precision. The others: two views
    of held-out images by the training recipe, always the same ones, embedded in inference mode;
    a recipe of one view has no alignment.
    """

    def __init__(
        self,
        start_step: int,
        *,
        method: Method,
        recipe: Recipe,
        settings: MonitorSettings,
        log: RunLog,
        source: Source,
        held_out: Source | None,
        every: int,
        last_step: int,
        seed: int,
    ):
        """
        Args:
            start_step: step from which this process goes on; at 0 the random network is looked at.
            held_out: images not trained on; without them the spread is taken on training images
                and there is no kNN.
            every: steps between two looks.
        """
        super().__init__(start_step)
        self._method = method
        self._settings = settings
        self._log = log
        self._every = every
        self._last_step = last_step

        def embed(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), method.embed(images))

        self._embed = tf.function(embed, reduce_retracing=True)
        looked_at = held_out or source
        queries = evenly_spaced(looked_at, settings.monitor_queries)
        labelled = held_out is not None and source.num_classes and held_out.num_classes
        self._num_classes = source.num_classes
        self._multi_label = source.multi_label
        self._bank = self._queries = None
        if labelled:
            self._bank, self._queries = (
                FeatureReader(
                    lambda images: self._embed(images)[0],
                    each,
                    recipe.settings.image_size,
                    _BATCH,
                )
                for each in (evenly_spaced(source, settings.monitor_bank), queries)
            )
        batch = min(_BATCH, queries.size)
        steps = Steps(seed, batch, start=0, stop=queries.size // batch)
        self._views = training_batches(queries, recipe, steps, with_boxes=recipe.takes_boxes)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        if self._start_step == 0:
            self._log.extra.update(self.look())
            self._log.write(0, {})

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        if self.passed(self._every) or step == self._last_step:
            self._log.extra.update(self.look())

    def look(self) -> dict[str, float]:
        """All figures of the network as it stands; prints a warning when they say collapse."""
        first, second = [], []
        for batch in self._views:
            first.append(self._embed(batch["views"][0])[1].numpy())
            if len(batch["views"]) > 1:
                second.append(self._embed(batch["views"][1])[1].numpy())
        one = np.concatenate(first)
        found = {
            "embedding_std": metrics.embedding_std(one),
            "rankme": metrics.rankme(one),
            "uniformity": metrics.uniformity(one),
        }
        if second:
            found["alignment"] = metrics.alignment(one, np.concatenate(second))
        reason = collapse_verdict(found["embedding_std"], found["rankme"], one.shape[1])
        found["collapsed"] = float(reason is not None)
        if reason:
            print(
                f"warning: COLLAPSE: {reason}; a low loss means nothing now. "
                f"{self._method.against_collapse}.",
                file=sys.stderr,
            )
        if self._bank is not None:
            found.update(self._knn())
        return {name: float(value) for name, value in found.items()}

    def _knn(self) -> dict[str, float]:
        bank, bank_labels = self._bank.read()
        queries, labels = self._queries.read()
        name, figure = ("knn_map", knn_map) if self._multi_label else ("knn_top1", knn_accuracy)
        found = figure(
            bank,
            bank_labels,
            queries,
            labels,
            self._num_classes,
            k=self._settings.neighbours.knn_k,
            temperature=self._settings.neighbours.knn_temperature,
        )
        return {name: found}


def evenly_spaced(source: Source, count: int) -> Source:
    """At most `count` images of a source, evenly spaced, so that a sorted one is covered."""
    return source.hold_out(count)[1] if count < source.size else source
