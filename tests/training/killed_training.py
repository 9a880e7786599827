"""A process that dies in the middle of a training, without leaving the test."""

from ssl_tf.training.callbacks import SaveCheckpoint


class Killed(BaseException):
    """What no code of the package catches."""


def killed_after(step):
    """A `SaveCheckpoint.on_step` in whose place the process dies at a step."""
    save = SaveCheckpoint.on_step

    def on_step(self, at, logs):
        if at == step:
            raise Killed
        save(self, at, logs)

    return on_step
