"""The online features of a batch, shared by the losses of a step."""

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
