"""The flags that name an encoder in the file of others."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.settings.flagfiles import setting, unless


@dataclasses.dataclass(frozen=True)
class InitEncoderSettings:
    """An encoder that no run here has trained."""

    init_encoder: str = setting(
        "",
        "File with the weights of a ResNet: safetensors with names of torchvision, timm, MoCo, "
        "DenseCL, SwAV, VISSL or Detectron2; .h5 or .keras of keras.applications; a SavedModel of "
        "ssl_tf.export; torch's .pth and Detectron2's .pkl with --allow_pickle.",
    )
    init_convention: str = setting(
        "",
        "Its images and strides: torchvision, RGB normalized as here, stride in the 3x3; caffe, "
        "BGR in 0..255 less the mean, stride in the first 1x1. Empty: as its names tell.",
        choices=("", "torchvision", "caffe"),
    )
    allow_pickle: bool = setting(
        False, "Read the tensors of a pickle; nothing else in it is run.", affects_result=False
    )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `flagfiles.unused`."""
        reason = "there is no --init_encoder"
        return unless(self.init_encoder, reason, "init_convention", "allow_pickle")


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
