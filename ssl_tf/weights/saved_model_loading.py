"""A SavedModel from disk, whoever wrote it."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from ssl_tf.errors import UserError


def load_saved_model(path: Path) -> Any:
    """The SavedModel of --encoder, as `tf.saved_model.load` gives it.

    Raises:
        UserError: it is damaged.
    """
    try:
        return tf.saved_model.load(str(path))
    except Exception as error:  # whatever a damaged file makes TensorFlow raise
        cause = " ".join(str(error).split())[:200]
        raise UserError(f"--encoder={path} cannot be loaded ({cause}); export it again") from None
