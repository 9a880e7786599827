"""Builds OHMS, the multi-label subset of OpenImages, as a TFDS data set.

`python -m ssl_tf.openimages --boxes=CSV --images=DIR --output=DIR`
"""

from ssl_tf import command
from ssl_tf.settings import OpenImagesSettings


def main(settings: OpenImagesSettings) -> None:
    """Chooses images and classes, writes the lists and, with --images, the data set."""
    from ssl_tf.data.openimages.building import build

    build(settings)


if __name__ == "__main__":
    command.run(main, OpenImagesSettings)
