"""Encoders of runs and exports as Keras models for other programs."""

import functools
import sys
from pathlib import Path

import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.settings import InitEncoderSettings
from ssl_tf.training.encoders import images_of, load_encoder
from ssl_tf.views.evaluation_crop import evaluation_crop
from ssl_tf.weights.loading import load_init_encoder


def load_encoder_model(path: Path, step: int) -> tf.keras.Model:
    """The encoder of a run, or of a file that --init_encoder reads.

    Args:
        path: the directory of a run or of a SavedModel of `ssl_tf.export`, or a file of weights.
        step: of the run's checkpoint; 0 is the newest undamaged one.

    Returns:
        Normalized images [N, H, W, 3] -> features [N, D]; all its weights train. Its attribute
        `preprocess` is the function of that name for the encoder's size of images.

    Raises:
        SettingsError: a step of an encoder that is of no run is asked for.
        UserError: there is no such encoder.
    """
    if path.is_file() or (path / "saved_model.pb").is_file():
        if step:
            raise SettingsError(f"{path} is no run, and has one step: leave step out")
        # What `tf.saved_model.load` gives computes the same, but has no layers and does not train.
        settings = InitEncoderSettings(init_encoder=str(path))
        encoder, _, images = load_init_encoder(settings)
    else:
        encoder, settings, _ = load_encoder(path, step)
        images = images_of(settings)
    if images.orient:
        print(
            f"{path}: the encoder learned from images that were turned upright; turn yours as EXIF "
            "says before preprocess",
            file=sys.stderr,
        )
    encoder.preprocess = functools.partial(preprocess, image_size=images.image_size)
    return encoder


def preprocess(images: tf.Tensor, image_size: int) -> tf.Tensor:
    """The images as an encoder takes them, as in evaluation; also inside `Dataset.map`.

    Args:
        images: uint8 [H, W, 3] or [N, H, W, 3], of any size; one image where the rank is unknown,
            as behind `tf.io.decode_image`.
        image_size: side of the result, in pixels.

    Returns:
        float32 [image_size, image_size, 3] or [N, image_size, image_size, 3]: resized, cropped at
        the centre, normalized.

    Raises:
        TypeError: the images are not uint8.
    """
    images = tf.convert_to_tensor(images)
    if images.dtype != tf.uint8:
        raise TypeError(f"images of {images.dtype.name}: give the uint8 pixels of decoded images")
    if images.shape.rank == 4:
        crops = tf.map_fn(lambda image: evaluation_crop(image, image_size), images)
        return normalize_images(tf.ensure_shape(crops, [None, image_size, image_size, 3]))
    image = tf.ensure_shape(images, [None, None, 3])
    return normalize_images(evaluation_crop(image, image_size))
