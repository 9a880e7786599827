"""Classifies by weighted nearest neighbours in the features of a run's encoder.

`python -m ssl_tf.knn --checkpoint=RUN --dataset=cifar10 --knn_k=200 --knn_temperature=0.1`
"""

import sys

from ssl_tf import command
from ssl_tf.settings import KnnSettings


def main(settings: KnnSettings) -> None:
    """Classifies with the encoder of a run, and the random encoder from which the run started."""
    from ssl_tf.evaluation.bootstrap import score_intervals
    from ssl_tf.evaluation.context import format_figures, open_context
    from ssl_tf.evaluation.freezing import digest, frozen
    from ssl_tf.evaluation.knn import knn_scores, real_k, search_bytes
    from ssl_tf.evaluation.metrics import score_figures
    from ssl_tf.settings.protocol import protocol

    context = open_context(settings.evaluation, "knn")
    k = real_k(settings.neighbours.knn_k, context.train)
    temperature = settings.neighbours.knn_temperature
    results = {"protocol": protocol(settings), "knn_k": k, "knn_temperature": temperature}
    for name, encoder in context.encoders.items():
        features = encoder.output_shape[-1]
        if name == "trained":
            memory = search_bytes(context.test.size, features, k, context.train.num_classes)
            print(
                f"memory: {memory / 2**20:.0f} MiB for {context.test.size} test images of "
                f"{features} features; those of the {context.train.size} train images "
                "are not kept in memory",
                file=sys.stderr,
            )
        with frozen(encoder) as encode:
            scores, labels = knn_scores(
                encode,
                context.train,
                context.test,
                context.image_size,
                settings.neighbours,
            )
        figures, intervals = score_figures(scores, labels), score_intervals(scores, labels)
        results[name] = {
            **figures,
            "interval_95": intervals,
            "encoder_sha256": digest(encoder),
        }
        told = format_figures(figures, intervals)
        print(f"{name:<8} encoder: kNN (k {k}, T {temperature:g}) {told}", flush=True)
    context.report(results)


if __name__ == "__main__":
    command.run(main, KnnSettings)
