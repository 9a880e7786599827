"""The packages that single formats need; nothing of them, nor TensorFlow, is imported here."""

import importlib.util
from collections.abc import Sequence

from ssl_tf.errors import UserError

# Format -> the extra of setup.py and the modules without which it cannot be written.
NEEDED: dict[str, tuple[str, tuple[str, ...]]] = {
    "onnx": ("onnx", ("onnx", "tf2onnx", "onnxruntime")),
}


def is_installed(module: str) -> bool:
    """Whether a module at the top level can be imported."""
    return importlib.util.find_spec(module) is not None


def check_installed(formats: Sequence[str]) -> None:
    """Checks, before the work, that the packages of all formats are there.

    Raises:
        UserError: one is not installed.
    """
    for name in formats:
        extra, modules = NEEDED.get(name, ("", ()))
        missing = [module for module in modules if not is_installed(module)]
        if missing:
            raise UserError(
                f"--format={name}: needs {', '.join(missing)}; install it by pip install -c "
                f"constraints.txt -e '.[{extra}]'"
            )
