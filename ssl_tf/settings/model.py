"""The method and its networks."""

import dataclasses
from typing import Any

from ssl_tf.errors import SettingsError
from ssl_tf.settings.fields import names, setting, unless
from ssl_tf.settings.methods import METHODS, LayersFlags, MethodFlags, MethodRow

# Those of `networks.resnet`.
DEPTHS = (18, 34, 50, 101, 152, 200)
DEPTHS_TOLD = f"{', '.join(map(str, DEPTHS[:-1]))} or {DEPTHS[-1]}"
STEMS = ("imagenet", "small")


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """The method and the network."""

    method: str = setting("ma_ssrl", "What is learned.", choices=tuple(METHODS))
    depth: int = setting(50, f"ResNet depth: {DEPTHS_TOLD}.")
    width: float = setting(1.0, "Multiplier of all channels, also below 1.", above=0, high=32)
    stem: str = setting("imagenet", "7x7 stride 2 and pool, or 3x3 stride 1.", choices=STEMS)
    stride_in_1x1: bool = setting(
        False,
        "Stride of a bottleneck in its first 1x1 convolution, as in ResNets of Caffe and Keras, "
        "in place of the 3x3.",
    )
    batch_norm: str = setting(
        "synchronized",
        "Batch statistics: synchronized, over all replicas; shuffled, of each replica, with the "
        "keys' images shuffled over replicas (moco, densecl; on one replica the same).",
        choices=("synchronized", "shuffled"),
    )
    flags: MethodFlags = dataclasses.field(default_factory=MethodFlags)

    def __post_init__(self) -> None:
        if self.depth not in DEPTHS:
            raise SettingsError(f"--depth={self.depth}: choose {DEPTHS_TOLD}")
        if self.batch_norm == "shuffled" and not self.row.queue:
            raise SettingsError(
                f"--batch_norm=shuffled: hides the keys of a queue; --method={self.method} has none"
            )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        return {
            **dict.fromkeys(self._foreign, f"--method={self.method} does not read it"),
            **unless(self.depth >= 50, f"--depth={self.depth} has no bottlenecks", "stride_in_1x1"),
            **unless(self._has_hidden, "--projector_layers=1 has none", "projector_hidden"),
        }

    @property
    def network(self) -> str:
        """The network of the encoder, as `network_name` tells it."""
        return network_name(**self.network_flags)

    @property
    def network_flags(self) -> dict[str, Any]:
        """The flags that say which network the encoder is: name -> value."""
        strides = {"stride_in_1x1": self.stride_in_1x1} if self.depth >= 50 else {}
        return {"depth": self.depth, "width": self.width, "stem": self.stem, **strides}

    @property
    def periods(self) -> dict[str, float]:
        """Flags of periods of the method that must end within the run, in epochs."""
        found: dict[str, float] = {}
        for group in self.row.flags:
            found.update(getattr(self.flags[group], "periods", {}))
        return found

    @property
    def _has_hidden(self) -> bool:
        """Whether the projector has hidden units, or `_foreign` says that the method has none."""
        row = self.row
        return LayersFlags not in row.flags or self.flags[LayersFlags].projector_layers > 1

    @property
    def _foreign(self) -> list[str]:
        """Names of the flags that only other methods read."""
        return [name for name in names(MethodFlags) if name not in self.row.flag_names]

    @property
    def row(self) -> MethodRow:
        """The method's row in the table."""
        return METHODS[self.method]


def network_name(depth: int, width: float, stem: str, stride_in_1x1: bool = False) -> str:
    """A network in words, such as `ResNet-50 x2, small stem`: what is at its default is left out.

    Args:
        depth, width, stem, stride_in_1x1: as in `ModelSettings.network_flags`.
    """
    parts = [f"ResNet-{depth}" + (f" x{width:g}" if width != 1 else "")]
    if stem != ModelSettings.stem:
        parts.append(f"{stem} stem")
    if stride_in_1x1:
        parts.append("stride in 1x1")
    return ", ".join(parts)
