"""A digest of the weights of a network."""

import hashlib
from typing import Any


def digest(network: Any) -> str:
    """SHA-256 of the bytes of all variables, batch statistics included; hexadecimal.

    Args:
        network: a model, or a signature of a SavedModel.
    """
    sha = hashlib.sha256()
    for variable in network.variables:
        sha.update(variable.numpy().tobytes())
    return sha.hexdigest()
