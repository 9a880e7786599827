"""What a training ran on: versions, code, devices. A change of them is told."""

import hashlib
import platform
import sys
from importlib import metadata
from pathlib import Path

from ssl_tf.cores import available_cores
from ssl_tf.errors import UserError, warn
from ssl_tf.files import read_json, write_json

ENVIRONMENT = "environment.json"
CODE = "code"
# Of these, a stack has its own (setup.py).
_PACKAGES = (
    "tensorflow", "keras", "tf-keras", "tensorflow-addons", "tensorflow-datasets", "keras-cv",
    "numpy",
)  # fmt: skip


def environment(replicas: int) -> dict[str, str | int]:
    """Versions and devices on which the last bits of a result may depend, and the code's digest."""
    import tensorflow as tf  # only here: a table of runs is read without it

    gpus = tf.config.get_visible_devices("GPU")
    details = (tf.config.experimental.get_device_details(gpu) for gpu in gpus)
    names = {str(detail.get("device_name", "GPU")) for detail in details}
    return {
        "python": platform.python_version(),
        "ssl_tf": metadata.version("ssl_tf"),
        CODE: code_digest(Path(__file__).parents[1]),
        **{name: version for name in _PACKAGES if (version := _version(name))},
        "device": ", ".join(sorted(names)) or "CPU",
        "cores": len(available_cores()),
        "replicas": replicas,
    }


def code_digest(package: Path) -> str:
    """Twelve hexadecimal digits of the SHA-256 of the Python files of a package, and their names.

    A clone changes without its version.
    """
    sha = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name, content = path.relative_to(package).as_posix().encode(), path.read_bytes()
        sha.update(b"%d %s %d %s" % (len(name), name, len(content), content))
    return sha.hexdigest()[:12]


def _version(package: str) -> str:
    """The version of an installed package; empty if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def note_environment(directory: Path, replicas: int, in_parts: bool) -> None:
    """Appends this environment if it is not the last one; tells on stderr if there were several.

    Numbers may round differently in another one (number of replicas, TensorFlow version), and other
    code may compute others. A change is told now and at each later start.

    Args:
        directory: of a training.
        replicas: here.
        in_parts: what is normalized or contrasted is a part of the batch, and another one where
            there are more replicas or less.
    """
    path, here = directory / ENVIRONMENT, environment(replicas)
    remedy = "it is only a note and is begun anew"
    try:
        environments = read_json(path, list, remedy) if path.exists() else []
        environments = [entry for entry in environments if isinstance(entry, dict)]
    except UserError as error:
        warn(str(error))
        environments = []
    if not environments or environments[-1] != here:
        environments.append(here)
        write_json(path, environments)
    values = {
        name: list(dict.fromkeys(str(entry.get(name, "absent")) for entry in environments))
        for name in dict.fromkeys(name for entry in environments for name in entry)
    }
    changed = [
        f"{name} {', then '.join(variants)}"
        for name, variants in values.items()
        if len(variants) > 1
    ]
    if changed:
        equal = "equals that of an uninterrupted run to rounding only"
        if len(values[CODE]) > 1:
            equal += ", if this code computes the same"
        if in_parts and len(values.get("replicas", ())) > 1:
            equal = "is not that of an uninterrupted run: parts of a batch are other images"
        print(
            f"{directory} is trained in several environments ({'; '.join(changed)}): its result "
            f"{equal}",
            file=sys.stderr,
        )
