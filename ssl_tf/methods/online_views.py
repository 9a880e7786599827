"""The online features of a batch, shared by the losses of a step, or of views of several sizes."""

from collections.abc import Sequence

import tensorflow as tf

from ssl_tf.networks.normalization import normalize_images


class OnlineViews:
    """`online[v]`: features [N, D] of view v, computed once, however many losses ask for them."""

    def __init__(self, encoder: tf.keras.Model, views: tuple[tf.Tensor, ...], training: bool):
        """
        Args:
            encoder: online, normalized images to features.
            views: uint8 [N, S, S, 3] each; each has batch statistics of its own.
            training: whether batch statistics are used and updated.
        """
        self._encoder = encoder
        self._views = views
        self._training = training
        self._features: dict[int, tf.Tensor] = {}

    def __getitem__(self, view: int) -> tf.Tensor:
        if view not in self._features:
            self._features[view] = self.encode(self._views[view])
        return self._features[view]

    def encode(self, images: tf.Tensor) -> tf.Tensor:
        """Features of other images, uint8 [N, S, S, 3]."""
        return self._encoder(normalize_images(images), training=self._training)


def encode_by_size(
    encoder: tf.keras.Model, groups: Sequence[Sequence[tf.Tensor]], training: bool
) -> tf.Tensor:
    """Features [V N, D] of all views, view after view; views of one size pass together.

    Batch statistics are then of all views of a size, as the code of SwAV and DINO has it.

    Args:
        encoder: normalized images to features.
        groups: the views of each size, uint8 [N, S, S, 3]; V in all. A group may be empty.
        training: whether batch statistics are used and updated.
    """
    features = [
        encoder(normalize_images(tf.concat(of_one_size, axis=0)), training=training)
        for of_one_size in groups
        if of_one_size
    ]
    return tf.concat(features, axis=0)
