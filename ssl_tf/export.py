"""Exports an encoder in the formats of others.

`python -m ssl_tf.export --checkpoint=RUN --format=saved_model --output=DIR`
"""

import sys
from pathlib import Path

from ssl_tf import command
from ssl_tf.exporters.packages import check_installed
from ssl_tf.settings import ExportSettings


def main(settings: ExportSettings) -> None:
    """Writes the encoder of a run, or of a file, in all formats, and checks what it wrote."""
    check_installed(settings.formats.format)
    from ssl_tf.data.sources.opening import open_training_source
    from ssl_tf.data.sources.source_checks import check_guesses, warn_of_turns
    from ssl_tf.exporters.exported import Exported
    from ssl_tf.exporters.formats import check_new, export_encoder
    from ssl_tf.training.encoders import images_of, load_encoder
    from ssl_tf.weights.loading import load_init_encoder

    run = Path(settings.checkpoint)
    output = Path(settings.output) if settings.output else run / "export"
    check_new(output)
    images = open_training_source(settings.data)[0] if settings.formats.is_calibrated else None
    if images is not None:
        check_guesses(images, judged=False)
    if settings.checkpoint:
        encoder, trained, step = load_encoder(run, settings.step)
        model, learned = trained.model, images_of(trained)
        facts, origin = {"method": model.method, "step": step}, f"step {step} of {run}"
    else:
        encoder, model, learned = load_init_encoder(settings.init)
        origin = settings.init.init_encoder
        facts = {"init_encoder": origin}
    if images is not None:
        warn_of_turns(images, learned.orient)
    exported = Exported(
        encoder, model, learned.image_size, settings.formats, images, learned.orient
    )
    reports = export_encoder(exported, output, facts)
    print(f"exported {origin} to {output}: {encoder.output_shape[-1]} features", file=sys.stderr)
    if learned.orient:
        others = "all formats"
        if "saved_model" in settings.formats.format:
            others = "`encoded` of the SavedModel turns files as EXIF says, all else"
        print(
            f"the encoder learned from upright images: {others} must be given upright images",
            file=sys.stderr,
        )
    for name, report in reports.items():
        print(f"{name}: ", "\n".join(report), sep="", file=sys.stderr)


if __name__ == "__main__":
    command.run(main, ExportSettings)
