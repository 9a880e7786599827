"""Pre-trains an encoder, or goes on with a run.

`python -m ssl_tf.pretrain --image_folder=DIR --auto`

A recipe is a flagfile: `python -m ssl_tf.pretrain --flagfile=configs/ma_ssrl.flags`
"""

import sys
import types
from collections.abc import Sequence
from pathlib import Path

from ssl_tf import command
from ssl_tf.settings import PretrainSettings, flagfiles
from ssl_tf.settings.placement import refuse_output_among_images


def main(settings: PretrainSettings) -> Path:
    """Runs the settings to their end, from the newest checkpoint where there is one.

    With `dry_run` the plan of the run is printed, and nothing is done.

    Args:
        settings: made by `ssl_tf.pretrain_settings`, or from the command line.

    Returns:
        The run directory: flags, metrics, checkpoints.

    Raises:
        ssl_tf.errors.UserError: what the user can mend, in one line.

    Examples:
        >>> import ssl_tf
        >>> settings = ssl_tf.pretrain_settings(
        ...     "configs/quickstart.flags", scenes=128, epochs=3, run_dir="runs/mine"
        ... )
        >>> ssl_tf.pretrain(settings)
        PosixPath('runs/mine')
    """
    directory = Path(settings.run.run_dir)
    refuse_output_among_images(settings)
    if not settings.recorded.is_file():
        settings.check_new()
    if settings.run.dry_run:
        from ssl_tf.pretraining.dry_run import describe
        from ssl_tf.training.run_directory import check_run

        check_run(settings)
        print(describe(settings))
        return directory
    from ssl_tf.pretraining.run import run

    run(settings)
    return directory


def with_chosen(arguments: Sequence[str]) -> list[str]:
    """A command line, with what `--auto` chooses if it is there; see `pretraining.auto`."""
    if not flagfiles.given(arguments, PretrainSettings).get("auto"):
        return list(arguments)
    command.import_quietly()
    from ssl_tf.pretraining import auto

    return auto.with_chosen(arguments)


class _Callable(types.ModuleType):
    """This module, which is also the function `ssl_tf.pretrain`."""

    def __call__(self, settings: PretrainSettings) -> Path:
        return main(settings)


sys.modules[__name__].__class__ = _Callable

if __name__ == "__main__":
    command.run(main, PretrainSettings, complete=with_chosen)
