"""Trains a linear classifier on the frozen encoder of a run.

`python -m ssl_tf.linear --flagfile=configs/linear_cifar10.flags --checkpoint=RUN`
"""

import shutil

from ssl_tf import command
from ssl_tf.settings import LinearSettings


def main(settings: LinearSettings) -> None:
    """Probes the encoder of a run, and the random encoder from which the run started."""
    from ssl_tf.evaluation.classification import mark_of_choice
    from ssl_tf.evaluation.context import format_figures, open_context
    from ssl_tf.evaluation.freezing import digest
    from ssl_tf.evaluation.probe import probe_encoder
    from ssl_tf.settings.protocol import protocol

    context = open_context(settings.evaluation, "linear", settings.validation)
    # A killed probe resumes from here; the directory is removed after the report.
    unfinished = context.output.with_name(f"{context.output.name}.unfinished")
    results = {
        "protocol": protocol(settings),
        "seed": settings.seed,
        "batch_size": settings.batch_size,
    }
    if settings.validation:
        results["validation"] = f"{settings.validation} of the train images"
    for name, encoder in context.encoders.items():
        result = probe_encoder(
            encoder,
            context.train,
            context.test,
            context.image_size,
            settings,
            unfinished / name,
        )
        results[name] = {
            **result.figures,
            "interval_95": result.intervals,
            "train_loss": result.train_loss,
            "base_learning_rate": result.base_learning_rate,
            "train_batch_size": result.batch_size,
            "encoder_sha256": digest(encoder),
        }
        if result.validation:
            results[name]["validation"] = {str(r): v for r, v in result.validation.items()}
        for rate, figures in result.validation.items():
            chosen = rate == result.base_learning_rate
            mark = mark_of_choice(rate, settings.rates) if chosen else ""
            shown = format_figures(figures) if figures else "diverged"
            print(f"{name:<8} base rate {rate:g}: validation {shown}{mark}")
        line = format_figures(result.figures, result.intervals, batch_size=settings.batch_size)
        print(f"{name:<8} encoder: {line}", flush=True)
    context.report(results)
    shutil.rmtree(unfinished, ignore_errors=True)


if __name__ == "__main__":
    command.run(main, LinearSettings)
