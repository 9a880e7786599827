"""Every method on a tiny network, and hand-made batches as the view recipe gives them.

`SMALL` is the one list of methods in the tests: a row of `settings/methods.py` needs an entry here,
and with it is compared on one replica and on several by test_replicas.py.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from ssl_tf.methods.registry import build_method
from ssl_tf.pretraining.compiling import compile_method
from ssl_tf.settings import PretrainSettings, flagfiles
from ssl_tf.training.plan import make_plan
from ssl_tf.training.strategy import mirrored_strategy

BATCH, SIZE, IMAGES, CLASSES = 8, 16, 64, 5


@dataclasses.dataclass(frozen=True)
class Small:
    """How a method is made small.

    flags: beside those of `small_settings`.
    sides: of its views, in pixels.
    replicas: how many of them take the step that is compared with that of one.
    """

    flags: tuple[str, ...] = ()
    sides: tuple[int, ...] = (SIZE, SIZE)
    replicas: int = 4


SMALL = {
    "byol": Small(("--tau=0.9",), replicas=2),
    # Two replicas are enough where a method has nothing that another one lacks.
    "ma_ssrl": Small(("--tau=0.9",), replicas=2),
    "moco": Small(("--tau=0.9",)),
    "densecl": Small(("--tau=0.9",), replicas=2),
    "simclr": Small(),
    "simsiam": Small(replicas=2),
    # Step 0 with frozen prototypes, step 2 with the queue.
    "swav": Small(
        (
            "--temperature=0.1", "--prototypes=12", "--freeze_prototypes=0.125",
            "--feature_queue=16", "--feature_queue_start=0",
        ),
        sides=(SIZE, SIZE, SIZE // 2, SIZE // 2),
    ),
    "supervised": Small(("--label_smoothing=0.1",), replicas=2),
    "barlow_twins": Small(("--projector_layers=3",)),
    # Step 0 with frozen prototypes; the teacher's temperature rises up to step 2.
    "dino": Small(
        (
            "--temperature=0.1", "--prototypes=12", "--freeze_prototypes=0.125", "--tau=0.9",
            "--teacher_temperature_epochs=0.25",
        ),
        sides=(SIZE, SIZE, SIZE // 2, SIZE // 2),
        replicas=2,
    ),
}  # fmt: skip


SIZES = {"projector_hidden": 16, "projection": 8, "queue": 16}


def small_settings(*flags):
    given = [
        "--dataset=none", "--depth=18", "--width=0.0625", "--stem=small", "--batch_size=8",
        "--epochs=10", "--warmup_epochs=0", f"--image_size={SIZE}", "--optimizer=sgd",
    ]  # fmt: skip
    method = [flag for flag in flags if flag.startswith("--method=")][-1:]
    row = flagfiles.parse([*given, *method], PretrainSettings).model.row
    given += [f"--{name}={size}" for name, size in SIZES.items() if name in row.flag_names]
    if any(flag.startswith("--crops=object") for flag in flags):
        given.append("--proposals=ground_truth")
    return flagfiles.parse([*given, *flags], PretrainSettings)


def make(*flags, strategy=None, synchronized=True, precision="float32", num_classes=None):
    settings = small_settings(*flags)
    plan = make_plan(settings.optimization, IMAGES)
    with (strategy or tf.distribute.get_strategy()).scope():
        method = build_method(settings, plan, synchronized, num_classes)
        compile_method(method, settings.optimization, plan, precision)
    return method


def views(count=2, seed=0):
    return sized_views([SIZE] * count, seed)


def sized_views(sides, seed=0):
    """One batch of views, each of its own side in pixels."""
    random = np.random.default_rng(seed)
    return tuple(random.integers(0, 256, [BATCH, side, side, 3], np.uint8) for side in sides)


def object_batch(seed=0):
    """A batch with all that a recipe of object crops draws."""
    random = np.random.default_rng([seed, 1])
    low = random.uniform(0, 0.5, [BATCH, 2, 2])
    rectangles = np.concatenate([low, low + random.uniform(0.1, 0.5, low.shape)], axis=2)
    return {
        "views": views(seed=seed),
        "swapped": random.random(BATCH) < 0.5,
        "rotation": random.integers(0, 4, BATCH, np.int32),
        "original": random.integers(0, 256, [BATCH, SIZE, SIZE, 3], np.uint8),
        "original_flipped": random.random(BATCH) < 0.5,
        "rectangles": rectangles.astype(np.float32),
    }


def unit(x, axis=-1):
    """Vectors of length 1 along an axis."""
    return x / np.linalg.norm(x, axis=axis, keepdims=True)


def values(variables):
    return [v.numpy() for v in variables]


def replica_run(replicas, *flags, make_batch, steps=3):
    """Trains on this many logical CPUs: the losses of the steps, and the method."""
    strategy = mirrored_strategy([f"CPU:{i}" for i in range(replicas)])
    method = make(*flags, strategy=strategy)
    batches = tf.data.Dataset.from_tensor_slices(
        tf.nest.map_structure(lambda *each: np.stack(each), *(make_batch(i) for i in range(steps)))
    )
    losses = []

    class Keep(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            losses.append(logs["loss"])

    method.fit(batches, epochs=1, steps_per_epoch=steps, verbose=0, callbacks=[Keep()])
    return losses, method


def shuffled_forward(*flags):
    """The first forward pass of two replicas that shuffle their batch for the targets' statistics.

    Returns: what a step keeps, in the order of the batch, and the places of the batch, [B / 2]
        each, whose target features had their statistics together.
    """
    strategy = mirrored_strategy(["CPU:0", "CPU:1"])
    method = make(*flags, "--batch_norm=shuffled", strategy=strategy)
    half = BATCH // 2
    shares = [
        strategy.experimental_distribute_values_from_function(
            lambda context, view=view: view[half * context.replica_id_in_sync_group :][:half]
        )
        for view in views()
    ]

    @tf.function
    def forward():
        return strategy.run(
            lambda *share: method.forward({"views": share}, training=True)[1], args=tuple(shares)
        )

    kept = {
        name: np.concatenate(strategy.experimental_local_results(part))
        for name, part in forward().items()
    }
    order = tf.random.experimental.stateless_shuffle(
        tf.range(BATCH), tf.constant([0, 0], tf.int64)
    ).numpy()
    return kept, (order[:half], order[half:])
