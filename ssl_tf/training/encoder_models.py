"""Encoders of runs and exports as Keras models for other programs."""

import functools
from pathlib import Path

import tensorflow as tf

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.files import read_json
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.networks.resnet import build_resnet
from ssl_tf.training.encoders import load_encoder
from ssl_tf.views.evaluation import evaluation_crop


def load_encoder_model(directory: Path, step: int = 0) -> tf.keras.Model:
    """The encoder of a run, or of a SavedModel that `ssl_tf.export` has written.

    Args:
        directory: of the run or the SavedModel.
        step: of the run's checkpoint; 0 is the newest undamaged one.

    Returns:
        Normalized images [N, H, W, 3] -> features [N, D]; all its weights train. Its attribute
        `preprocess` is the function of that name for the encoder's size of images.

    Raises:
        SettingsError: a step of a SavedModel is asked for.
        UserError: there is no such encoder.
    """
    if (directory / "saved_model.pb").is_file():
        if step:
            raise SettingsError(f"{directory} is a SavedModel, which has one step: leave step out")
        encoder, image_size = _load_saved_model(directory)
    else:
        encoder, settings, _ = load_encoder(directory, step)
        image_size = settings.views.image_size
    encoder.preprocess = functools.partial(preprocess, image_size=image_size)
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


def _load_saved_model(directory: Path) -> tuple[tf.keras.Model, int]:
    """The encoder built anew with the variables of a SavedModel, and its size of images.

    What `tf.saved_model.load` gives would compute the same, but has no layers and does not train.
    """
    remedy = "give a directory that ssl_tf.export has written"
    facts = read_json(directory / "export.json", dict, remedy)
    try:
        encoder = build_resnet(facts["depth"], facts["width"], facts["stem"], synchronized=False)
        image_size = int(facts["image_size"])
        variables = tf.train.Checkpoint(encoder=encoder).read(
            str(directory / "variables" / "variables")
        )
        variables.assert_existing_objects_matched().expect_partial()
    except (LookupError, TypeError, ValueError, AssertionError, tf.errors.OpError) as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"{directory} holds no encoder of ours ({cause}); {remedy}") from None
    return encoder, image_size
