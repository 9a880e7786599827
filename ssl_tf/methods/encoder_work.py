"""How much an image costs a method: views, passes of its encoders, and their arithmetic.

Heads and losses are left out. A pass forward is one unit, a pass forward and backward three: the
gradients by the weights and by the inputs cost about a forward pass each.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ssl_tf.settings import (
    MonitorSettings,
    NeighbourSettings,
    PretrainSettings,
    RunSettings,
    ViewSettings,
)

# The table of several runs reads what they have noted, and needs no TensorFlow for it.
if TYPE_CHECKING:
    from ssl_tf.methods.base import Method

_LEARNED_UNITS = 3


@dataclasses.dataclass(frozen=True)
class EncoderWork:
    """The work for one image of one step.

    Attributes:
        views: side in pixels -> views an image.
        learned_passes: side -> passes of the learned encoder, forward and backward.
        target_passes: side -> passes of the target encoder, forward alone.
        forward_flops: side -> floating-point operations of one pass forward.
    """

    views: Mapping[str, int]
    learned_passes: Mapping[str, int]
    target_passes: Mapping[str, int]
    forward_flops: Mapping[str, int]

    @property
    def views_an_image(self) -> int:
        return sum(self.views.values())

    @property
    def flops(self) -> int:
        """Floating-point operations an image."""
        return sum(self._units(side) * flops for side, flops in self.forward_flops.items())

    @property
    def forward_units(self) -> float:
        """Passes forward an image, in passes of a view of --image_size, which comes first."""
        return self.flops / next(iter(self.forward_flops.values()))

    def _units(self, side: str) -> int:
        return _LEARNED_UNITS * self.learned_passes.get(side, 0) + self.target_passes.get(side, 0)


def encoder_work(method: Method, views: ViewSettings) -> EncoderWork:
    """The work of a method on views of these settings."""
    from ssl_tf.networks.flops import forward_flops

    large, small = str(views.image_size), str(views.small_image_size)
    of_small = {small: views.small_views} if views.small_views else {}
    shown = {large: len(views.strategies)}
    learned = {large: method.encoder_passes}
    for side, count in of_small.items():
        shown[side] = shown.get(side, 0) + count
        learned[side] = learned.get(side, 0) + count
    return EncoderWork(
        views=shown,
        learned_passes=learned,
        target_passes={large: method.target_passes},
        forward_flops={side: forward_flops(method.encoder, int(side)) for side in learned},
    )


def read_work(values: Mapping[str, Any]) -> EncoderWork:
    """The work that a file has, written from `dataclasses.asdict`.

    Raises:
        KeyError: an entry is missing.
        TypeError: an entry is of another kind.
    """
    fields = (field.name for field in dataclasses.fields(EncoderWork))
    return EncoderWork(**{name: {**values[name]} for name in fields})


def work_of_settings(settings: PretrainSettings, images: int) -> EncoderWork:
    """The work that flags describe: of a run that has not noted it.

    Args:
        settings: of the run.
        images: in an epoch.

    Raises:
        UserError: no method can be built of the flags.
    """
    # Runs that differ in place or seed alone do the same work.
    same = dataclasses.replace(
        settings, run=RunSettings(), monitor=MonitorSettings(NeighbourSettings())
    )
    return _work_of_settings(same, images)


@functools.lru_cache(maxsize=64)
def _work_of_settings(settings: PretrainSettings, images: int) -> EncoderWork:
    from ssl_tf.methods.registry import build_method
    from ssl_tf.training.plan import make_plan

    plan = make_plan(settings.optimization, images)
    # The classes change the head of the supervised method alone.
    method = build_method(settings, plan, synchronized=False, num_classes=2)
    return encoder_work(method, settings.views)
