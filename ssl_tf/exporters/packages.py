"""The packages that formats need, and those that read them back; TensorFlow is not imported."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence

from ssl_tf.errors import UserError

# Format -> the extra of setup.py and the modules without which it cannot be written.
NEEDED: dict[str, tuple[str, tuple[str, ...]]] = {
    "onnx": ("onnx", ("onnx", "tf2onnx", "onnxruntime")),
}


# Of this Python's stack, as in scripts/environment.sh.
CONSTRAINTS = "constraints.txt" if sys.version_info < (3, 12) else "constraints-tf2.21.txt"


def install_line(extra: str) -> str:
    """The command that installs an extra of setup.py."""
    return f"pip install -c {CONSTRAINTS} -e '.[{extra}]'"


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
                f"--format={name}: needs {', '.join(missing)}; install it by {install_line(extra)}"
            )


def obstacle(*modules: str) -> str:
    """Why a file cannot be read back by these modules, in words; empty if it can."""
    for module in modules:
        if not is_installed(module):
            return f"{module} is not installed"
        try:
            importlib.import_module(module)
        except Exception as error:  # builds that do not fit each other fail in any way
            return f"{module} cannot be imported ({' '.join(str(error).split())[:100]})"
    return ""
