"""The flags that name an encoder in the file of others."""

import dataclasses
from collections.abc import Sequence

from ssl_tf.errors import SettingsError
from ssl_tf.settings.fields import setting, unless


@dataclasses.dataclass(frozen=True)
class InitEncoderSettings:
    """An encoder that no run here has trained."""

    init_encoder: str = setting(
        "",
        "File with the weights of a ResNet: safetensors with names of torchvision, timm, MoCo, "
        "DenseCL, SwAV, VISSL or Detectron2; .h5 or .keras of keras.applications; a SavedModel of "
        "ssl_tf.export; torch's .pth and Detectron2's .pkl with --allow_pickle.",
        is_input=True,
    )
    init_convention: str = setting(
        "",
        "Its images and strides: torchvision, RGB normalized as here, stride in the 3x3; caffe, "
        "BGR in 0..255 less the mean, stride in the first 1x1. Empty: as its names tell.",
        choices=("", "torchvision", "caffe"),
    )
    init_mean: tuple[float, ...] = setting(
        (),
        "Mean that its images had subtracted, of red, green and blue in 0 to 1, such as 0,0,0. "
        "Empty: as the config.json beside it tells, else ImageNet's, and for "
        "keras.applications Caffe's.",
    )
    init_std: tuple[float, ...] = setting(
        (),
        "What its images were divided by, then, such as 1,1,1. Empty: as --init_mean.",
    )
    allow_pickle: bool = setting(
        False, "Read the tensors of a pickle; nothing else in it is run.", affects_result=False
    )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        reason = "there is no --init_encoder"
        names = "init_convention", "init_mean", "init_std", "allow_pickle"
        return {
            **unless(self.init_convention != "caffe", "caffe has its own", "init_mean", "init_std"),
            **unless(self.init_encoder, reason, *names),
        }

    def __post_init__(self) -> None:
        for name in ("init_mean", "init_std"):
            values = getattr(self, name)
            if values and not are_of_pixels(name, values):
                raise SettingsError(
                    f"--{name}={','.join(f'{x:g}' for x in values)}: give three numbers, of red, "
                    "green and blue from 0 to 1 (those of pixels of 0 to 255 over 255)"
                    + (", above 0" if name == "init_std" else "")
                )


def are_of_pixels(name: str, values: Sequence[float]) -> bool:
    """Whether values may be the mean or the deviation (name ends in std) of RGB in 0 to 1."""
    least = min(values, default=0)
    is_above = least > 0 if name.endswith("std") else least >= 0
    return len(values) == 3 and is_above and max(values) <= 1


def one_encoder(init: InitEncoderSettings, run: str, flag: str = "--checkpoint") -> None:
    """Checks that an encoder is named, and in one way.

    Args:
        init: names a file, or nothing.
        run: names a run, or is empty.
        flag: that names the run.

    Raises:
        SettingsError: there are two encoders, or none.
    """
    if bool(run) == bool(init.init_encoder):
        raise SettingsError(
            f"{flag}, --init_encoder: give one of them, the run directory or the file that has the "
            "encoder"
        )
