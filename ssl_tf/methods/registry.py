"""From settings to a method."""

import importlib

from ssl_tf.methods.base import Method
from ssl_tf.methods.network_builder import NetworkBuilder
from ssl_tf.settings import METHODS, PretrainSettings
from ssl_tf.training.plan import Plan


def method_class(name: str) -> type[Method]:
    """The class of a row of the table of methods; of all methods only its module is imported."""
    module, _, member = METHODS[name].place.partition(":")
    return getattr(importlib.import_module(f"ssl_tf.methods.{module}"), member)


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
    builder = NetworkBuilder(settings, plan, synchronized, num_classes, multi_label)
    return method_class(settings.model.method)(builder)
