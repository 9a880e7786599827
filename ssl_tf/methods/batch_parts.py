"""The parts of a batch over which batch normalization takes its statistics."""

import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.methods.base import Method
from ssl_tf.networks.batch_normalization import BatchNormalization
from ssl_tf.networks.resnet import SPATIAL_FEATURES
from ssl_tf.settings import PretrainSettings


def check_parts(method: Method, settings: PretrainSettings, replicas: int) -> None:
    """Refuses parts of one image where batch normalization takes vectors.

    The mean of one vector is the vector, so that zeros are left of it, and no gradient passes: the
    run learns nothing, and a loss of zeros may look like one that falls. Where a method passes all
    views of a part together, what is left is the difference between views of one image. Maps of
    several positions have statistics of one image, too, as long as the last one is such a map.

    Args:
        method: of the run.
        settings: of the run.
        replicas: how many there are; a part is over all of them where statistics are synchronized.

    Raises:
        SettingsError: a part is one image, and a head or the last map is so normalized.
    """
    optimization, norm = settings.optimization, settings.model.batch_norm
    sharing = 1 if norm == "synchronized" else replicas
    if optimization.batch_size // (optimization.accumulate * sharing) >= 2:
        return
    if not (_normalizes_vectors(method) or _has_map_of_one_position(method, settings)):
        return
    flags = f"--batch_size={optimization.batch_size} --accumulate={optimization.accumulate}"
    if sharing > 1:
        flags += f" --batch_norm={norm} on {replicas} replicas"
    raise SettingsError(
        f"{flags}: a part is one image, of which batch normalization leaves nothing to learn; give "
        "parts of two images and more"
    )


def _normalizes_vectors(method: Method) -> bool:
    return any(
        isinstance(layer, BatchNormalization) and layer.input.shape.rank == 2
        for network in method.networks.values()
        for layer in network.submodules
    )


def _has_map_of_one_position(method: Method, settings: PretrainSettings) -> bool:
    encoder, views = method.encoder, settings.views
    side = min([views.image_size] + [views.small_image_size] * bool(views.small_views))
    to_map = tf.keras.Model(encoder.input, encoder.get_layer(SPATIAL_FEATURES).output)
    return to_map.compute_output_shape((1, side, side, 3))[1] == 1
