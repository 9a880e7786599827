"""Networks of tasks as SavedModels, which are written only if they answer as the network does."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from ssl_tf.files import replacing, write_json
from ssl_tf.networks.precision import full_float32

Signatures = Mapping[str, Callable[..., dict[str, tf.Tensor]]]


def save_checked(
    module: tf.Module,
    signatures: dict[str, str],
    directory: Path,
    facts: dict[str, Any],
    check: Callable[[Signatures], None],
) -> None:
    """Writes a SavedModel with a json of facts, and loads it for a check.

    Args:
        module: with a function for each signature; the json has its name.
        signatures: name -> what it takes and gives, in words; the first is the default, too.
        directory: of the SavedModel; it is complete or absent.
        facts: of the network, for the json.
        check: called with the signatures as they were loaded.

    Raises:
        UserError: as `check`.
    """
    functions = {name: getattr(module, name) for name in signatures}
    with replacing(directory) as temporary:
        tf.saved_model.save(
            module,
            str(temporary),
            signatures={"serving_default": next(iter(functions.values())), **functions},
        )
        with full_float32():
            check(tf.saved_model.load(str(temporary)).signatures)
        write_json(temporary / f"{module.name}.json", {**facts, "signatures": signatures})
