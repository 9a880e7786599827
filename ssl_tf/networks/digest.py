"""A digest of the weights of a network."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ssl_tf.files import sha256_of


def digest(network: Any) -> str:
    """SHA-256 of the bytes of all variables, batch statistics included; hexadecimal.

    Args:
        network: a model, or a signature of a SavedModel.
    """
    return weights_digest(variable.numpy() for variable in network.variables)


def weights_digest(weights: Iterable[np.ndarray]) -> str:
    """SHA-256 of the bytes of weights in their order; hexadecimal."""
    sha = hashlib.sha256()
    for weight in weights:
        sha.update(weight.tobytes())
    return sha.hexdigest()


def saved_model_digest(directory: Path, signature: Any) -> str:
    """SHA-256 of a SavedModel's weights, or of its graph where that holds them as constants.

    Args:
        directory: of the SavedModel.
        signature: of it.
    """
    if signature.variables:
        return digest(signature)
    return sha256_of(directory / "saved_model.pb")
