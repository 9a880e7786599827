"""Monitors of the representation during pre-training, with a warning of collapse."""

import itertools
import math
import sys
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ssl_tf.data.batches import transformed_batches
from ssl_tf.data.labels import HIDDEN, labels_are_hidden
from ssl_tf.data.order import Steps
from ssl_tf.data.source import Source
from ssl_tf.errors import UserError, warn
from ssl_tf.evaluation import metrics
from ssl_tf.evaluation.features import BATCH, Encode, FeatureReader
from ssl_tf.evaluation.knn import real_k, weighted_knn
from ssl_tf.methods.base import Method
from ssl_tf.settings import MonitorSettings
from ssl_tf.training.callbacks import StepCallback
from ssl_tf.training.run_log import RunLog
from ssl_tf.views.recipe import Recipe

# A healthy embedding has a standard deviation of about 1/sqrt(d) in each dimension (SimSiam 4.1);
# a collapsed one has 0. A tenth of it is far below that of any learning network after its first
# steps. An effective rank of 2 is a line: all embeddings differ along one direction.
COLLAPSED_STD = 0.1
COLLAPSED_RANK = 2.0


def collapse_reason(embedding_std: float, rankme: float, dimension: int, count: int) -> str | None:
    """The reason to call an embedding collapsed; None if it is not.

    Args:
        embedding_std: standard deviation of the l2-normalized embedding, mean over dimensions.
        rankme: effective rank of the embedding.
        dimension: d, that of the embedding.
        count: number of embeddings.
    """
    healthy = 1 / math.sqrt(dimension)
    if embedding_std < COLLAPSED_STD * healthy:
        return (
            f"the standard deviation of the normalized embedding is {embedding_std:.2g} "
            f"(healthy: about {healthy:.2g})"
        )
    if rankme < COLLAPSED_RANK and count > 2:  # two always lie on a line
        return f"the effective rank of the embedding is {rankme:.2g} of {dimension}"
    return None


class _LabelledFeatures:
    """The features of at most `count` images with a public label, spread over a source.

    A split may be labelled in part, as STL-10's train+unlabelled. That shows when the features are
    first read: a start reads no label, which of record files would be a pass over all of them.
    """

    def __init__(self, encode: Encode, source: Source, count: int, image_size: int):
        self.source = source
        self._encode, self._count, self._image_size = encode, count, image_size
        self._is_chosen = False
        self._reader = self._of(source)

    def _of(self, source: Source) -> FeatureReader:
        part = spread(source, self._count)
        return FeatureReader(self._encode, part, self._image_size, hidden_labels=True)

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Features [N, D] and labels [N] or [N, C]; N is 0 where no label is public."""
        features, labels = self._reader.read()
        if labels.ndim == 2:
            return features, labels
        known = labels != HIDDEN
        if known.any() and not known.all() and not self._is_chosen:
            self._is_chosen = True
            self._reader = self._of(self._labelled())
            return self.read()
        return features[known], labels[known]

    def _labelled(self) -> Source:
        source = self.source
        of_all = source.annotations().map(lambda example: example["label"]).batch(1024)
        known = np.concatenate(list(source.read(of_all))) != HIDDEN
        print(
            f"monitors: {known.sum()} of the {source.size} images of {source.name} have a label; "
            "kNN is of them",
            file=sys.stderr,
        )
        return source.part(known, f"{source.name}, labelled")


def _have_labels(source: Source, held_out: Source) -> bool:
    """Whether both have labels for kNN, as far as is seen without reading all; else says so."""
    if not (source.has_classes and held_out.num_classes):
        print("monitors: no kNN, which needs labels of two classes or more", file=sys.stderr)
        return False
    for images in (source, held_out):
        if images.multi_label and labels_are_hidden(images):
            _tell_hidden(images)
            return False
    return True


def _tell_hidden(source: Source) -> None:
    print(f"{source.name}: its labels are not public, so there is no kNN", file=sys.stderr)


class RepresentationMonitor(StepCallback):
    """kNN accuracy, embedding spread, effective rank, alignment and uniformity.

    kNN classifies held-out images by a labelled bank of training images, from features of the
    online encoder. Images with several labels have the mean average precision in its place. The
    others compare two views of held-out images by the training recipe, embedded in inference mode,
    each by the head that learns from it. The views are the same at every measurement. A recipe of
    one view has no alignment.
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
        as_scenes: bool = False,
        every: int,
        last_step: int,
        seed: int,
        look: Callable[[int, Encode], None] = lambda step, encode: None,
    ):
        """
        Args:
            start_step: step from which this process continues; at 0 the random network is measured.
            method: whose encoder and embeddings are measured.
            recipe: of the views.
            settings: numbers of images, and k and temperature of kNN.
            log: gets the values.
            source: training images.
            held_out: images not trained on; None: training images are embedded and there is no kNN.
            as_scenes: the views are scene crops, whatever boxes the held-out images have.
            every: steps between two measurements.
            last_step: of the run, where the last measurement is.
            seed: of the views.
            look: is called after each measurement, with its step and the encoder as it is then.
        """
        super().__init__(start_step)
        self._method = method
        self._settings = settings
        self._log = log
        self._every = every
        self._last_step = last_step
        self._look = look

        def embed(images: tf.Tensor, view: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            embedded = method.embed(images, view)
            return tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), embedded)

        self._embed = tf.function(embed, reduce_retracing=True, autograph=False)
        monitored = held_out or source
        queries = spread(monitored, settings.monitor_queries)
        self._num_classes = source.num_classes
        self._multi_label = source.multi_label
        self._bank = self._queries = None
        self._k = settings.neighbours.knn_k
        if held_out is not None and _have_labels(source, held_out):
            self._k = real_k(self._k, spread(source, settings.monitor_bank))
            side = recipe.settings.image_size
            self._bank, self._queries = (
                _LabelledFeatures(self._encode, images, count, side)
                for images, count in (
                    (source, settings.monitor_bank),
                    (held_out, settings.monitor_queries),
                )
            )
        batch = min(BATCH, queries.size)
        steps = Steps(seed, batch, start=0, stop=-(-queries.size // batch))

        def first_two(example: dict[str, tf.Tensor], image_seed: tf.Tensor) -> dict:
            boxes = tf.zeros([0, 4])
            if not as_scenes:
                boxes = example.get("boxes", boxes)
            taken = (boxes,) if recipe.takes_boxes else ()
            views = recipe(example["image"], image_seed, *taken)["views"][:2]
            return {"index": example["index"], "views": views}

        views = transformed_batches(queries, first_two, steps)
        # One iterator for all measurements, since each new one costs seconds of graph rewriting. It
        # reads no measurement ahead, beside the training.
        options = tf.data.Options()
        options.experimental_optimization.inject_prefetch = False
        self._views = iter(views.repeat().with_options(options))
        self._batches = steps.stop
        self._source = queries

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        if self._start_step == 0:
            self._measure_and_look(0)
            self._log.write(0, {})

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        if self.passed(self._every) or step == self._last_step:
            self._measure_and_look(step)

    def _measure_and_look(self, step: int) -> None:
        with self._log.clock.pause("monitor", self._every):
            self._log.extra.update(self.measure())
            self._look(step, self._encode)

    def _encode(self, images: tf.Tensor) -> tf.Tensor:
        """The features of uint8 images [N, S, S, 3], float32 [N, D]."""
        return self._embed(images, tf.constant(0))[0]

    def measure(self) -> dict[str, float]:
        """The current values of all monitors; prints a warning if they show a collapse."""
        indices, first, second = [], [], []
        with self._source.reading():
            for batch in itertools.islice(self._views, self._batches):
                embedded = [
                    self._embed(images, tf.constant(view))[1].numpy()
                    for view, images in enumerate(batch["views"])
                ]
                indices.append(batch["index"].numpy())
                first.append(embedded[0])
                second.extend(embedded[1:])
        # Each image once: others take the places of unreadable ones, and fill up the last batch.
        rows = np.sort(np.unique(np.concatenate(indices), return_index=True)[1])
        embeddings = np.concatenate(first)[rows]
        if len(embeddings) < 2:
            raise UserError(
                f"{self._source.name}: the monitors compare two images or more, and one of "
                f"{self._source.size} can be decoded; mend the others, or give a larger --holdout"
            )
        if not np.isfinite(embeddings).all():
            raise UserError(
                "the embeddings of the monitor are not finite: the network has diverged; lower "
                "--base_learning_rate"
            )
        values = {
            "embedding_std": metrics.embedding_std(embeddings),
            "rankme": metrics.rankme(embeddings),
            "uniformity": metrics.uniformity(embeddings),
        }
        if second:
            values["alignment"] = metrics.alignment(embeddings, np.concatenate(second)[rows])
        count, dimension = embeddings.shape
        reason = collapse_reason(values["embedding_std"], values["rankme"], dimension, count)
        values["collapsed"] = float(reason is not None)
        if reason:
            warn(
                f"COLLAPSE: {reason}; a low loss means nothing now. "
                f"{self._method.against_collapse}."
            )
        if self._bank is not None:
            values.update(self._knn())
        return {name: float(value) for name, value in values.items()}

    def _knn(self) -> dict[str, float]:
        bank, bank_labels = self._bank.read()
        queries, labels = self._queries.read()
        for part, found in ((self._bank, bank), (self._queries, queries)):
            if not len(found):
                _tell_hidden(part.source)
                self._bank = None
                return {}
        scores = weighted_knn(
            bank,
            bank_labels,
            queries,
            self._num_classes,
            k=min(self._k, len(bank)),
            temperature=self._settings.neighbours.knn_temperature,
        )
        if self._multi_label:
            return {"knn_map": metrics.mean_average_precision(scores, labels)}
        return {"knn_top1": metrics.top_k_accuracy(scores, labels)}


def spread(source: Source, count: int) -> Source:
    """At most `count` images of a source, spread over it as `Source.hold_out` says."""
    return source.hold_out(count)[1] if count < source.size else source
