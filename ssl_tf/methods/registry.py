"""From settings to a method: a new method is its file and one line here."""

from ssl_tf.methods.base import Method
from ssl_tf.methods.blueprint import Blueprint
from ssl_tf.methods.byol import BYOL, MaSsrl
from ssl_tf.methods.densecl import DenseCL
from ssl_tf.methods.moco import MoCo
from ssl_tf.methods.simclr import SimCLR
from ssl_tf.methods.simsiam import SimSiam
from ssl_tf.methods.supervised import Supervised
from ssl_tf.methods.swav import SwAV
from ssl_tf.settings import PretrainSettings
from ssl_tf.training.plan import Plan

METHODS = {
    "ma_ssrl": MaSsrl,
    "byol": BYOL,
    "moco": MoCo,
    "densecl": DenseCL,
    "simclr": SimCLR,
    "simsiam": SimSiam,
    "swav": SwAV,
    "supervised": Supervised,
}


def build_method(
    settings: PretrainSettings,
    plan: Plan,
    synchronized: bool,
    num_classes: int | None = None,
    multi_label: bool = False,
) -> Method:
    """The method of the settings, with its networks built.

    Args:
        settings: of the run.
        plan: of the run, for schedules and checks inside the method.
        synchronized: batch statistics over all replicas, unless the settings want those of each;
            False on one replica, where the result is the same and the kernel faster.
        num_classes, multi_label: of the labels of the images; None without labels.

    Raises:
        SettingsError: the method cannot work on these images or this batch.
    """
    synchronized = synchronized and settings.model.batch_norm == "synchronized"
    blueprint = Blueprint(settings, plan, synchronized, num_classes, multi_label)
    return METHODS[settings.model.method](blueprint)
