"""The parts of TensorFlow's Model Garden that detectors are made of, without the rest of it."""

import functools
import importlib
import importlib.util
import sys
import types

from ssl_tf.errors import UserError

INSTALL = (
    'PIP_CONSTRAINT="$PWD/constraints-downstream.txt" pip install -c constraints.txt '
    "-e '.[downstream]'"
)
# Packages whose __init__ imports all models, tasks and trainers of Model Garden, with what those
# need. They are entered without it: nothing here needs more than single modules.
_PACKAGES = (
    "official.core",
    "official.vision",
    "official.vision.modeling",
    "official.vision.modeling.decoders",
    "official.vision.modeling.heads",
    "official.vision.modeling.layers",
)
_NAMES = {
    "official.vision.modeling.decoders.fpn": ("FPN",),
    "official.vision.modeling.heads.dense_prediction_heads": ("RPNHead", "RetinaNetHead"),
    "official.vision.modeling.heads.instance_heads": ("DetectionHead", "MaskHead"),
    "official.vision.modeling.layers.detection_generator": ("DetectionGenerator",),
    "official.vision.modeling.layers.roi_aligner": ("MultilevelROIAligner",),
    "official.vision.modeling.layers.roi_generator": ("MultilevelROIGenerator",),
    "official.vision.ops.anchor": ("Anchor",),
    "official.vision.ops.box_ops": ("clip_boxes", "decode_boxes", "encode_boxes"),
    "official.vision.ops.iou_similarity": ("iou",),
}


def check_installed() -> None:
    """Checks that the extra of detection is installed; TensorFlow is not imported.

    Raises:
        UserError: it is not, or cannot be.
    """
    if importlib.util.find_spec("official") is not None:
        return
    if sys.version_info >= (3, 12):
        raise UserError(
            "detect needs TensorFlow's Model Garden, of which there is none for TensorFlow 2.21; "
            "use Python 3.11, the default stack"
        )
    raise UserError(f"detect needs TensorFlow's Model Garden; install it by {INSTALL}")


@functools.cache
def parts() -> types.SimpleNamespace:
    """The classes and functions of Model Garden that detectors use, by their names there."""
    for name in _PACKAGES:
        if name not in sys.modules:
            module = importlib.util.module_from_spec(importlib.util.find_spec(name))
            sys.modules[name] = module
            parent, _, child = name.rpartition(".")
            setattr(importlib.import_module(parent), child, module)
    found = types.SimpleNamespace()
    for module, names in _NAMES.items():
        imported = importlib.import_module(module)
        vars(found).update({name: getattr(imported, name) for name in names})
    return found
