"""The fit loop of all stages."""

import contextlib

import tensorflow as tf

from ssl_tf.data.read_errors import check_data
from ssl_tf.data.source import Source
from ssl_tf.training.callbacks import StepCallback
from ssl_tf.training.execution import TimedModel

_BROKEN_COLLECTIVES = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.DeadlineExceededError,
)


def fit(
    model: TimedModel,
    batches: tf.data.Dataset,
    *,
    source: Source,
    steps: int,
    callbacks: list[tf.keras.callbacks.Callback],
) -> None:
    """Runs Keras's `fit` over the remaining steps; an error of the input becomes one line.

    Args:
        model: compiled.
        batches: of the remaining steps.
        source: of the images in the batches; it names the damage when reading fails.
        steps: number of remaining steps.
        callbacks: of Keras.

    Raises:
        UserError: the data cannot be read, or too many images are unreadable.
        ConnectionError: another worker does not answer any more.
    """
    executions = -(-steps // model.steps_at_once)
    try:
        with contextlib.ExitStack() as stack:
            for callback in callbacks:
                if isinstance(callback, StepCallback):
                    stack.enter_context(callback.running())
            model.fit(batches, epochs=1, steps_per_epoch=executions, verbose=0, callbacks=callbacks)
    except _BROKEN_COLLECTIVES as error:
        raise ConnectionError(error.message.splitlines()[0]) from None
    except tf.errors.OpError as error:
        check_data(error, source)
        raise
