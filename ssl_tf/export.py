"""Exports the encoder of a run as a SavedModel.

`python -m ssl_tf.export --checkpoint=RUN --output=DIR`
"""

import sys
from pathlib import Path

from ssl_tf import command
from ssl_tf.settings import ExportSettings


def main(settings: ExportSettings) -> None:
    """Writes the SavedModel of one of a run's checkpoints."""
    from ssl_tf.exporters.saved_model import check_new, export_encoder
    from ssl_tf.training.encoders import load_encoder

    run = Path(settings.checkpoint)
    output = Path(settings.output) if settings.output else run / "export"
    check_new(output)
    encoder, trained, step = load_encoder(run, settings.step)
    facts = {
        "method": trained.model.method,
        "depth": trained.model.depth,
        "width": trained.model.width,
        "stem": trained.model.stem,
        "step": step,
    }
    difference = export_encoder(encoder, trained.views.image_size, output, facts)
    print(
        f"exported step {step} of {run} to {output}: {encoder.output_shape[-1]} features, "
        f"signatures images and encoded, largest difference after loading {difference:.1g}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    command.run(main, ExportSettings)
