"""Finds boxes of objects in any images, without labels.

`python -m ssl_tf.discover --flagfile=configs/lod_scaled.flags --image_folder=DIR --encoder=RUN
--output=DIR`
"""

import logging
import sys

from ssl_tf import command
from ssl_tf.settings import DiscoverSettings


def main(settings: DiscoverSettings) -> None:
    """Runs or resumes discovery, and prints where the proposals are."""
    # Beam's import warns about cloud services that are not installed.
    logging.getLogger().setLevel(logging.ERROR)
    from ssl_tf.discovery.run import discover

    proposals = discover(settings)
    print(f"done: --crops=object_dilated --proposals={proposals}", file=sys.stderr)


if __name__ == "__main__":
    command.run(main, DiscoverSettings)
