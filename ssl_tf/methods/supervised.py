"""The supervised baseline: an encoder and a linear classifier, learned from labels."""

import math

import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.methods import losses
from ssl_tf.methods.base import Batch, Tensors
from ssl_tf.methods.branch import Heads
from ssl_tf.methods.network_builder import NetworkBuilder
from ssl_tf.methods.online_network import OnlineNetwork
from ssl_tf.methods.online_views import OnlineViews
from ssl_tf.networks.heads import build_classifier
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.settings.methods import SupervisedFlags


class Supervised(OnlineNetwork):
    """Cross-entropy of the label under each view, mean over the views; one view is enough.

    One label an image: softmax cross-entropy, as the supervised rows of BYOL (Table 8), SimCLR
    (B.8) and MA-SSRL have it. Several (OHMS, the supervised row of OAC Table 2): a logistic
    classifier for each class, binary cross-entropy, mean over the classes. `--label_smoothing`
    moves so much of the target to all classes alike, with several labels towards a half.
    """

    def __init__(self, builder: NetworkBuilder):
        classes = builder.num_classes
        if not classes:
            raise SettingsError(
                "--method=supervised: these images have no labels; give labelled ones (a folder "
                "with one folder a class, a data set with labels), or another --method"
            )
        if classes == 1 and not builder.multi_label:
            raise SettingsError(
                "--method=supervised: all images are of one class, of which nothing is learned; "
                "give images of two or more, or another --method"
            )
        views = range(len(builder.settings.views.strategies))
        # What equal scores cost, whatever the labels are.
        chance = math.log(2 if builder.multi_label else classes)
        super().__init__(builder, chance, online_views=views)
        self.needs = ("label", *self.needs)
        self.views = views
        self.num_classes = classes
        self.multi_label = builder.multi_label
        self.smoothing = builder.flags(SupervisedFlags).label_smoothing

    @staticmethod
    def build_heads(builder: NetworkBuilder) -> Heads:
        size = builder.features, builder.num_classes
        return {"classifier": build_classifier(*size, seed=builder.seed)}

    def compare(self, batch: Batch, online: OnlineViews, training: bool) -> tuple[Tensors, Tensors]:
        """ "label": int64 [N], or float32 [N, classes] of 0 and 1."""
        terms = [
            losses.classification_loss(
                self.online.project(
                    "classifier", online[view], self.is_surroundings(view), training
                ),
                batch["label"],
                self.smoothing,
            )
            for view in self.views
        ]
        return {"classification_loss": losses.summed(terms) / len(terms)}, {}

    def embed(self, images: tf.Tensor, view: int | tf.Tensor = 0) -> tuple[tf.Tensor, tf.Tensor]:
        """The features, twice: scores would tell of the classes, not of the representation."""
        features = self.encoder(normalize_images(images), training=False)
        return features, features
