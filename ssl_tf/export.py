"""Exports the encoder of a run in the formats of others.

`python -m ssl_tf.export --checkpoint=RUN --format=saved_model --output=DIR`
"""

import sys
from pathlib import Path

from ssl_tf import command
from ssl_tf.exporters.packages import check_installed
from ssl_tf.settings import ExportSettings


def main(settings: ExportSettings) -> None:
    """Writes the encoder of one of a run's checkpoints in all formats, and checks what it wrote."""
    check_installed(settings.formats.format)
    from ssl_tf.data.sources.opening import open_training_source
    from ssl_tf.exporters.exported import Exported
    from ssl_tf.exporters.formats import check_new, export_encoder
    from ssl_tf.training.encoders import load_encoder

    run = Path(settings.checkpoint)
    output = Path(settings.output) if settings.output else run / "export"
    check_new(output)
    images = open_training_source(settings.data)[0] if settings.formats.is_calibrated else None
    encoder, trained, step = load_encoder(run, settings.step)
    model = trained.model
    facts = {
        "method": model.method,
        "depth": model.depth,
        "width": model.width,
        "stem": model.stem,
        "step": step,
    }
    exported = Exported(encoder, model, trained.views.image_size, settings.formats, images)
    reports = export_encoder(exported, output, facts)
    features = encoder.output_shape[-1]
    print(f"exported step {step} of {run} to {output}: {features} features", file=sys.stderr)
    for name, report in reports.items():
        print(f"{name}: ", "\n".join(report), sep="", file=sys.stderr)


if __name__ == "__main__":
    command.run(main, ExportSettings)
