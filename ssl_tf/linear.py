"""Linear evaluation of a run's encoder.

`python -m ssl_tf.linear --flagfile=configs/linear_cifar10.flags --checkpoint=RUN`
"""

from pathlib import Path

from ssl_tf import command
from ssl_tf.errors import SettingsError
from ssl_tf.settings import LinearSettings


def main(settings: LinearSettings) -> None:
    """Probes the encoder of a run, and beside it the random encoder that the run started from."""
    from ssl_tf.data.decoding import UnreadableImages
    from ssl_tf.data.opening import open_held_out, open_training_source
    from ssl_tf.evaluation.probe import digest, probe_encoder
    from ssl_tf.methods.blueprint import build_encoder
    from ssl_tf.methods.restoring import load_encoder
    from ssl_tf.training.run_directory import write_json

    run = Path(settings.checkpoint)
    encoder, trained, step = load_encoder(run, settings.step)
    train, held_out = open_training_source(settings.data)
    test = held_out or open_held_out(settings.data, settings.test_split)
    if test is None:
        raise SettingsError("no images to report on: give --test_split, or --holdout=N")
    for source in (train, test):
        if not source.num_classes:
            raise SettingsError(f"{source.name} has no labels; a probe needs them")
    if test.num_classes > train.num_classes:
        raise SettingsError(
            f"{test.name} has {test.num_classes} classes, {train.name} only {train.num_classes}; "
            "give splits of one data set"
        )
    unreadable = UnreadableImages(settings.data.max_bad_images)
    size = settings.image_size or trained.views.image_size
    encoders = {"trained": encoder}
    if settings.random_baseline:
        encoders["random"] = build_encoder(trained.model, trained.run.seed)
    report = {
        "checkpoint": str(run),
        "step": step,
        "train": f"{train.name}, {train.size} images",
        "test": f"{test.name}, {test.size} images",
        "batch_size": settings.batch_size,
    }
    titles = {
        "top1": "top-1",
        "top5": "top-5",
        "map": "mAP",
        "map_batchwise": f"mAP within batches of {settings.batch_size}",
    }
    for name, network in encoders.items():
        result = probe_encoder(network, train, test, size, settings, unreadable)
        report[name] = {
            **result.figures,
            "train_loss": result.train_loss,
            "encoder_sha256": digest(network),
        }
        told = "  ".join(f"{titles[n]} {100 * value:.2f}" for n, value in result.figures.items())
        print(f"{name:<8} encoder: {told}", flush=True)
    output = Path(settings.output) if settings.output else run / "linear.json"
    write_json(output, report)
    print(f"the encoder is unchanged; result in {output}{unreadable.summary()}")


if __name__ == "__main__":
    command.run(main, LinearSettings)
