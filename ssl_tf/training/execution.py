"""Execution of training steps: XLA or not, several at a time, with the input timed."""

from collections.abc import Callable

import tensorflow as tf

from ssl_tf.views.device import DeviceViews

# Log of an execution: the seconds it waited for its batches.
INPUT_SECONDS = "input_seconds"


class TimedModel(tf.keras.Model):
    """A Keras model whose executions measure how long they wait for their input.

    `train_step` must return logs that are already reduced over the replicas; those of the first
    replica are used. Subclasses have `learned_variables`, which the optimizer moves.

    Attributes:
        compile_step: whether the step runs as one XLA program; it must have no collectives.
        steps_at_once: steps of an execution, as `steps_per_execution` of Keras.
        last_step: step at which the last execution ends, whatever `steps_at_once` is.
        augment: makes the views of a batch on its device, before the step; None: they are there.
    """

    def __init__(self, name: str):
        super().__init__(name=name)
        self.compile_step = False
        self.steps_at_once = 1
        self.last_step: int | None = None
        self.augment: DeviceViews | None = None

    def compile_training(
        self, optimizer: tf.keras.optimizers.Optimizer, *, precision: str, last_step: int
    ) -> None:
        """Compiles the model, with all slots of its optimizer, so that a checkpoint finds them.

        Args:
            optimizer: of `learned_variables`.
            precision: a value of --precision.
            last_step: as the attribute.
        """
        if precision == "mixed_float16":
            # Gradients below 6e-8 are zero in half precision, so the losses are scaled up. A step
            # whose gradients overflow changes no weights, but it is counted.
            optimizer = tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
        optimizer.build(self.learned_variables)
        self.last_step = last_step
        self.compile(optimizer=optimizer)

    def make_train_function(self, force: bool = False) -> Callable:
        if self.train_function is not None and not force:
            return self.train_function
        strategy = self.distribute_strategy
        replica_step = self._replica_step()

        def step(iterator, waited: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
            with tf.control_dependencies([waited]):
                began = tf.timestamp()
            with tf.control_dependencies([began]):
                batch = next(iterator)
            with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
                waited += tf.timestamp() - began
            outputs = strategy.run(replica_step, (batch,))
            first = tf.nest.map_structure(
                lambda x: strategy.experimental_local_results(x)[0], outputs
            )
            # Ties the next step's clock to the end of this one.
            with tf.control_dependencies(tf.nest.flatten(first)):
                return tf.identity(waited), first

        zero = tf.constant(0.0, tf.float64)
        if self.steps_at_once == 1:

            def execution(iterator):
                waited, logs = step(iterator, zero)
                return {**logs, INPUT_SECONDS: waited}

        else:

            def execution(iterator):
                # In the counter's int64: a step above 2^31 would wrap, and one step be taken.
                remaining = self.last_step - tf.cast(self.optimizer.iterations, tf.int64)
                # The loop counts in int32, which stays on the host: it waits for no device.
                steps = tf.cast(tf.minimum(remaining, self.steps_at_once), tf.int32)
                # The first step comes before the loop: its logs are the loop's first variables.
                waited, logs = step(iterator, zero)
                _, waited, logs = tf.while_loop(
                    lambda taken, *_: taken < steps,
                    lambda taken, waited, _: (taken + 1, *step(iterator, waited)),
                    (tf.constant(1), waited, logs),
                )
                return {**logs, INPUT_SECONDS: waited}

        self.train_function = tf.function(execution, autograph=False)
        return self.train_function

    def _replica_step(self) -> Callable[[dict], dict[str, tf.Tensor]]:
        """The step of a replica: its views, where the device makes them, and `train_step`.

        XLA gets both as one program, or `train_step` alone where it cannot make the views.
        """
        augment, train_step = self.augment, self.train_step
        if self.compile_step and augment is not None and augment.compilable:
            return tf.function(
                lambda batch: train_step(augment.compiled(batch)),
                jit_compile=True,
                autograph=False,
            )
        if self.compile_step:
            train_step = tf.function(train_step, jit_compile=True, autograph=False)
        if augment is None:
            return train_step
        return lambda batch: train_step(augment(batch))
