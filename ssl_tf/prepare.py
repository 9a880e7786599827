"""Prepares any images for training: upright, small, in record files, with a report.

`python -m ssl_tf.prepare --input=DIR --output=DIR`
"""

import logging
import sys

from ssl_tf import command
from ssl_tf.settings import PrepareSettings


def main(settings: PrepareSettings) -> None:
    """Runs or resumes the preparation, and prints how to train from it."""
    # Beam's import warns about cloud services that are not installed.
    logging.getLogger().setLevel(logging.ERROR)
    from ssl_tf.preparation.preparing import prepare

    page = prepare(settings)
    print(
        f"done: {page} is the report; next: "
        f"python -m ssl_tf.pretrain --prepared={settings.output} --auto",
        file=sys.stderr,
    )


if __name__ == "__main__":
    command.run(main, PrepareSettings)
