"""Fine-tunes the encoder of a run, on all labels or a share of them.

`python -m ssl_tf.finetune --flagfile=configs/finetune_cifar10_1pct.flags --checkpoint=RUN`
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ssl_tf import command
from ssl_tf.errors import SettingsError
from ssl_tf.settings import FineTuneSettings, fields

if TYPE_CHECKING:
    from ssl_tf.data.source import Source
    from ssl_tf.evaluation.context import EvaluationContext
    from ssl_tf.evaluation.encoder_classifier import EncoderClassifier
    from ssl_tf.evaluation.finetuning import Export


def main(settings: FineTuneSettings) -> None:
    """Fine-tunes the encoder of a run, and the random encoder from which the run started."""
    from ssl_tf.evaluation.classification import mark_of_choice, real_batch_size
    from ssl_tf.evaluation.context import format_figures, open_context
    from ssl_tf.evaluation.finetuning import FineTuning, report_of
    from ssl_tf.evaluation.labelled import choose_labelled
    from ssl_tf.settings.protocol import protocol
    from ssl_tf.training.report_entries import UNREADABLE
    from ssl_tf.training.run_directory import FLAGS
    from ssl_tf.training.strategy import make_strategy

    reading = fields.result_flags(settings.evaluation.data)
    tuning, labels = settings.tuning, settings.labels
    # First, because a CPU can be split only before any operation runs on it.
    strategy = make_strategy(tuning.logical_cpus, tuning.batch_size)
    share = settings.share
    stage = f"finetune_{share}" if share else "finetune"
    context = open_context(settings.evaluation, stage, labels.validation)
    directory = context.output.with_suffix("")
    if context.output.suffix != ".json":  # the report all the same; a rate may end its name
        directory = context.output.with_name(f"{context.output.name}_training")
    if (directory / FLAGS).is_file():
        raise SettingsError(
            f"--output={context.output}: its checkpoints would lie in {directory}, which is the "
            "directory of a run; give another name"
        )
    images = choose_labelled(context.train, context.test, labels, directory / "labels.txt")
    learned = images.whole or images.train
    replicas = strategy.num_replicas_in_sync
    batch_size = real_batch_size(tuning.batch_size, learned.size, replicas)
    results = {
        "train": f"{learned.name}, {learned.size} images",
        "share": share,
        "protocol": protocol(settings),
        "seed": tuning.seed,
        "batch_size": batch_size,
        # --steps takes the place of --epochs.
        "epochs": tuning.steps * batch_size / learned.size if tuning.steps else tuning.epochs,
        "frozen_blocks": tuning.frozen_blocks,
        "trunk_rate_multiplier": tuning.trunk_rate_multiplier,
    }
    if images.validation is not None:
        refit = ", then trained on" if labels.refit else ""
        results["validation"] = f"{images.validation.name}, {images.validation.size} images{refit}"
    unreadable = 0
    for name in context.encoders:
        result = FineTuning(
            new_encoder=context.encoder_factory(name),
            images=images,
            image_size=context.image_size,
            settings=tuning,
            directory=directory / name,
            strategy=strategy,
            reading=reading,
            export=_exporter(settings, context, directory) if name == "trained" else None,
        ).result()
        results[name] = report_of(result)
        # Of the encoders together, as in reports of other protocols.
        unreadable = max(unreadable, results[name].pop(UNREADABLE))
        chosen = (result.base_learning_rate, result.weight_decay)
        for trial in result.trials:
            pair = (trial["base_learning_rate"], trial["weight_decay"])
            figures = trial["validation"]
            mark = mark_of_choice(pair[0], [r for r, _ in tuning.trials]) if pair == chosen else ""
            print(
                f"{name:<8} base rate {pair[0]:g}, decay {pair[1]:g}: validation "
                + (format_figures(figures) if figures else "diverged")
                + mark
            )
        print(f"{name:<8} encoder, fine-tuned: {format_figures(result.figures)}", flush=True)
    context.report(results, f"checkpoints and curves in {directory}", unreadable)


def _exporter(
    settings: FineTuneSettings, context: EvaluationContext, directory: Path
) -> Export | None:
    """What writes the fine-tuned network of the run, if it is asked for and not there."""
    exported = directory / "classifier"
    if not settings.export or exported.exists():
        return None
    from ssl_tf.evaluation.exported_classifier import export_classifier

    def export(model: EncoderClassifier, learned: Source) -> None:
        origin = context.facts.get("checkpoint") or settings.evaluation.init.init_encoder
        upright = settings.evaluation.data.are_upright
        export_classifier(model, learned, context.image_size, upright, exported, str(origin))
        print(f"trained  exported to {exported}", file=sys.stderr)

    return export


if __name__ == "__main__":
    command.run(main, FineTuneSettings)
