"""Writes the features of any images as a table, with pictures of what is near to what.

`python -m ssl_tf.embed --encoder=RUN --image_folder=DIR --output=DIR --format=parquet,numpy`
"""

import logging

from ssl_tf import command
from ssl_tf.errors import SettingsError
from ssl_tf.exporters.packages import install_line, is_installed
from ssl_tf.settings import EmbedSettings


def main(settings: EmbedSettings) -> None:
    """Writes or completes the table and the report, and prints where they are."""
    check_map(settings)
    # Beam's import warns about cloud services that are not installed.
    logging.getLogger().setLevel(logging.ERROR)
    from ssl_tf.embedding.stages import embed

    print(embed(settings))


def check_map(settings: EmbedSettings) -> None:
    """Checks, before the work, that the map can be drawn.

    Raises:
        SettingsError: scikit-learn is not installed.
    """
    wanted = settings.report_images and settings.map_projection == "tsne"
    if wanted and not is_installed("sklearn"):
        raise SettingsError(
            f"--map_projection=tsne needs scikit-learn: {install_line('embed')}, or give "
            "--map_projection=pca"
        )


if __name__ == "__main__":
    command.run(main, EmbedSettings)
