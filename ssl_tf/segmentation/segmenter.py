"""The network of a segmentation: an encoder with a fine last map, and a head."""

import tensorflow as tf

from ssl_tf.data.annotations.annotated_source import IGNORED
from ssl_tf.downstream.downstream_model import DownstreamModel, Tensors
from ssl_tf.networks.dilation import dilated
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.networks.resnet import SPATIAL_FEATURES
from ssl_tf.segmentation.interpolation import upsample
from ssl_tf.segmentation.segmentation_heads import build_head
from ssl_tf.settings import SegmenterSettings


class Segmenter(DownstreamModel):
    """Images to the scores of each pixel.

    Attributes:
        stride: pixels between two cells of the encoder's last map.
        num_classes: number of classes.
        test_scales, test_flip: as in the settings.
    """

    def __init__(
        self,
        encoder: tf.keras.Model,
        num_classes: int,
        settings: SegmenterSettings,
        *,
        synchronized: bool,
        seed: int,
    ):
        """
        Args:
            encoder: of `build_resnet`; it is copied.
            num_classes: number of classes.
            settings: of the head and the stride.
            synchronized: use the batch statistics of all replicas in the head.
            seed: of the weights of the head.
        """
        finer = dilated(encoder, settings.output_stride)
        maps = finer.get_layer(SPATIAL_FEATURES).output
        stride = _stride(finer)
        head = build_head(
            settings.head,
            maps.shape[-1],
            num_classes,
            settings.head_channels,
            stride,
            synchronized=synchronized,
            seed=seed,
        )
        super().__init__("segmenter", finer, head)
        self.stride = stride
        self.num_classes = num_classes
        self._maps = tf.keras.Model(finer.input, maps)
        self.test_scales, self.test_flip = settings.test_scales, settings.test_flip

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Scores of images: uint8 [N, H, W, 3] -> float [N, H, W, classes], without softmax."""
        height, width = tf.unstack(tf.shape(images)[1:3])
        return upsample(self._cells(images, training), self.stride, height, width)

    def probabilities(
        self, images: tf.Tensor, scales: tuple[float, ...] = (1.0,), flip: bool = False
    ) -> tf.Tensor:
        """The probability of each class at each pixel, averaged over scales and mirror images.

        Args:
            images: uint8 [N, H, W, 3].
            scales: by which the images are resized.
            flip: add the mirror image at each scale.

        Returns:
            float [N, H, W, classes].
        """
        height, width = tf.unstack(tf.shape(images)[1:3])
        found = []
        for scale in scales:
            scaled, sides = images, None
            if scale != 1:
                sides = tf.cast(tf.stack([height, width]), tf.float32) * scale
                sides = tf.maximum(tf.cast(tf.round(sides), tf.int32), 1)
                resized = tf.image.resize(images, sides, antialias=True)
                scaled = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
            for mirrored in (False, True) if flip else (False,):
                shown = scaled[:, :, ::-1] if mirrored else scaled
                scores = upsample(self._cells(shown, False), self.stride, height, width, sides)
                probability = tf.nn.softmax(scores)
                found.append(probability[:, :, ::-1] if mirrored else probability)
        return tf.add_n(found) / len(found)

    def test_probabilities(self, images: tf.Tensor) -> tf.Tensor:
        """`probabilities` by the scales and mirror images of the test."""
        return self.probabilities(images, self.test_scales, self.test_flip)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)], autograph=False)
    def labels(self, images: tf.Tensor) -> tf.Tensor:
        """The classes of the pixels, by the scales and mirror images of the test.

        Args:
            images: uint8 [N, H, W, 3].

        Returns:
            int64 [N, H, W].
        """
        return tf.argmax(self.test_probabilities(images), axis=-1)

    def normalizers(self, batch: Tensors) -> Tensors:
        """The number of pixels whose labels count."""
        return {"pixels": tf.math.count_nonzero(batch["label_map"] != IGNORED, dtype=tf.float32)}

    def losses(self, part: Tensors, normalizers: Tensors) -> Tensors:
        """The cross-entropy, averaged over the pixels of the global batch whose labels count."""
        labels = part["label_map"]
        counts = labels != IGNORED
        scores = self(part["image"], training=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=tf.where(counts, labels, 0), logits=scores
        )
        total = tf.reduce_sum(tf.where(counts, losses, 0))
        pixels = tf.cast(tf.maximum(normalizers["pixels"], 1), total.dtype)
        return {"cross_entropy": total / pixels}

    def _cells(self, images: tf.Tensor, training: bool) -> tf.Tensor:
        maps = self._maps(normalize_images(images), training=training)
        return self.head(maps, training=training)


def _stride(encoder: tf.keras.Model) -> int:
    """Pixels between two cells of the last map."""
    stride = 1
    for layer in encoder.layers:
        is_shortcut = layer.name.endswith("downsample_0")
        if not is_shortcut and hasattr(layer, "strides"):
            stride *= layer.strides[0]
    return stride
