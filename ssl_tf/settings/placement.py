"""Where results may lie: outside of the folders whose images a command reads."""

from pathlib import Path
from typing import Any

from ssl_tf.errors import SettingsError
from ssl_tf.settings import fields

_PLACES = ("output", "run_dir")
_IMAGE_FOLDERS = ("image_folder", "test_image_folder")


def refuse_output_among_images(settings: Any) -> None:
    """Refuses results in an image folder that is read: their pictures would count as images.

    Results go to --output or --run_dir. Links are followed. A run that is there already goes on.

    Args:
        settings: of any command.

    Raises:
        SettingsError: the place of the results is an image folder, or lies in one.
    """
    values = fields.as_dict(settings)
    flag = next((name for name in _PLACES if values.get(name)), None)
    recorded = getattr(settings, "recorded", None)
    if flag is None or (recorded is not None and recorded.is_file()):
        return
    place = Path(values[flag]).resolve()
    for name in _IMAGE_FOLDERS:
        if values.get(name) and place.is_relative_to(Path(values[name]).resolve()):
            raise SettingsError(
                f"--{flag}={values[flag]} lies in --{name}={values[name]}, where results would "
                "count as images or classes; give a place outside of it"
            )
