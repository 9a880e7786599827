"""The encoder whose features are written: of a run, a SavedModel, or the weights of others."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.networks.digest import digest, saved_model_digest
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.settings import EmbedSettings
from ssl_tf.training.encoders import images_of, load_encoder
from ssl_tf.weights.encoder_images import FACTS, exported_images
from ssl_tf.weights.loading import load_init_encoder
from ssl_tf.weights.saved_model_loading import load_saved_model


@dataclasses.dataclass(frozen=True)
class FrozenEncoder:
    """An encoder in inference mode.

    Attributes:
        encode: uint8 [B, S, S, 3] -> float32 [B, D]; None where only the record is left.
        image_size: S, in pixels.
        dimension: D.
        sha256: of all weights and batch statistics.
        origin: where it comes from, in words.
    """

    encode: Callable[[tf.Tensor], tf.Tensor] | None
    image_size: int
    dimension: int
    sha256: str
    origin: str

    @property
    def facts(self) -> dict[str, Any]:
        """All but the function."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)[1:]}


def open_encoder(settings: EmbedSettings) -> FrozenEncoder:
    """The encoder that the settings name.

    Raises:
        UserError: there is none, it is damaged, or it has no signature from images to features.
    """
    path = Path(settings.encoder)
    if settings.init.init_encoder:
        model, _, images = load_init_encoder(settings.init)
        origin = settings.init.init_encoder
    elif (path / "saved_model.pb").is_file():
        return _of_saved_model(path, settings)
    else:
        model, trained, step = load_encoder(path, settings.step)
        images, origin = images_of(trained), f"step {step} of {path}"
    return _compiled(
        lambda images: model(images, training=False),
        settings,
        image_size=settings.image_size or images.image_size,
        dimension=model.output_shape[-1],
        sha256=digest(model),
        origin=origin,
    )


def _of_saved_model(path: Path, settings: EmbedSettings) -> FrozenEncoder:
    if settings.step:
        raise SettingsError(f"--step={settings.step}: {path} is a SavedModel, which has no steps")
    loaded = load_saved_model(path)
    signature = loaded.signatures.get("images")
    outputs = signature.structured_outputs if signature else {}
    if "features" not in outputs or outputs["features"].shape.rank != 2:
        found = ", ".join(loaded.signatures) or "no signature"
        raise UserError(
            f"--encoder={path} has no signature from images to features (it has {found}); give a "
            "SavedModel of ssl_tf.export"
        )
    size = settings.image_size
    if not size:
        size = exported_images(path).image_size
        if not size:
            raise UserError(f"{path / FACTS} tells no image_size; give --image_size")
    encoder = _compiled(
        lambda images: signature(images=images)["features"],
        settings,
        image_size=size,
        dimension=int(outputs["features"].shape[-1]),
        sha256=saved_model_digest(path, signature),
        origin=f"SavedModel {path}",
    )
    encoder.encode.loaded = loaded  # keeps the variables alive
    return encoder


def _compiled(
    features: Callable[[tf.Tensor], tf.Tensor], settings: EmbedSettings, **facts
) -> FrozenEncoder:
    """The encoder of a function from normalized images to features, for one size of batch."""
    side = facts["image_size"]
    # One shape: a smaller last batch is filled up, so that it is computed like all others.
    signature = tf.TensorSpec([settings.batch_size, side, side, 3], tf.uint8)

    @tf.function(input_signature=[signature], autograph=False)
    def encode(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(features(normalize_images(images)), tf.float32)

    return FrozenEncoder(encode, **facts)
