"""Measurements of the training step: one entry of the grid, in a process of its own."""

import dataclasses
import gc
import math
import statistics
import time
from collections.abc import Iterator

import tensorflow as tf

from ssl_tf.benchmarking.matrix_peak import matrix_peak
from ssl_tf.benchmarking.timing import settle
from ssl_tf.benchmarking.torch_rival import TorchRival
from ssl_tf.data.sources.opening import open_training_source
from ssl_tf.errors import SettingsError
from ssl_tf.methods.base import Method
from ssl_tf.methods.encoder_work import encoder_work
from ssl_tf.pretraining.compiling import build_compiled
from ssl_tf.pretraining.dry_run import estimated_bytes
from ssl_tf.pretraining.inputs import build_recipe, distributed_batches
from ssl_tf.settings import TrainBenchmarkSettings
from ssl_tf.settings.benchmarking import Entry
from ssl_tf.training.environment import environment
from ssl_tf.training.execution import INPUT_SECONDS
from ssl_tf.training.host_memory import peak_bytes, resident_bytes
from ssl_tf.training.plan import make_plan
from ssl_tf.training.strategy import make_strategy

# Steps after the first that are not timed: the allocator settles.
_WARM = 2
# Steps that take what the input has made ahead: two batches of its own, those of the data sets
# behind it, and one begun.
_AHEAD = 8
# Time ends a measurement, not the last step of a run, however few the images are. The positions of
# their examples, at most 2^20 a step, are int64.
_ENDLESS_STEPS = 2**40


def devices(settings: TrainBenchmarkSettings) -> dict:
    """What the entries run on: "device", the name of the card, "replicas", how many, and "cores".

    No GPU is initialized.
    """
    gpus = tf.config.get_visible_devices("GPU")
    replicas = settings.pretrain.run.logical_cpus or max(1, len(gpus))
    here = environment(replicas)
    return {name: here[name] for name in ("device", "replicas", "cores")}


def measure_entry(settings: TrainBenchmarkSettings, entry: Entry) -> dict:
    """The figures of one entry; its process must not have run anything else.

    "step" is measured on one batch, which the host sends each time and does not make anew,
    "training" on the real input.

    Returns:
        first_step_seconds: the first step's, with tracing and compilation.
        step, training: median, least and most images a second of the repetitions.
        input_wait: share of the training's time spent waiting for input, in [0, 1].
        share_of_peak: of the rate at which the device multiplies large matrices of this precision,
            what the encoders' passes take, in [0, 1].
        peak_gib: memory at its peak, of the first GPU, or of this process beyond what it held when
            the images were open; estimated_gib: what --dry_run says.
        torch: layout -> images a second, as step, and "ratio", ours to it in the same repetition.

    Raises:
        SettingsError: such an entry cannot run.
    """
    pretrain = settings.of_entry(entry)
    # As in a run, where half precision leaves it on for what stays in float32.
    tf32 = entry.precision != "float32"
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    optimization, run = pretrain.optimization, pretrain.run
    strategy = make_strategy(run.logical_cpus, optimization.batch_size, optimization.accumulate)
    replicas = strategy.num_replicas_in_sync
    if settings.against and replicas > 1:
        raise SettingsError(
            f"--against=torch: PyTorch's step runs on one device, ours on {replicas}; show one GPU "
            "alone by CUDA_VISIBLE_DEVICES=0"
        )
    tf.keras.utils.set_random_seed(run.seed)
    source, _ = open_training_source(pretrain.data, pretrain.views.object_crops)
    held = resident_bytes()
    plan = dataclasses.replace(make_plan(optimization, source.size), total_steps=_ENDLESS_STEPS)
    method = build_compiled(pretrain, strategy, plan, source.num_classes, source.multi_label)
    method.steps_at_once = run.steps_per_execution
    recipe = build_recipe(pretrain, source)
    batches = distributed_batches(pretrain, method, source, recipe, strategy, plan)
    running = iter(batches)
    began = time.perf_counter()
    _take_step(method, running)
    first_step = time.perf_counter() - began
    still = _endless(strategy, next(running))
    rival = TorchRival(pretrain, settings.torch_python, tf32=tf32) if settings.against else None
    for _ in range(_WARM):
        _take_step(method, still)
    repetitions = settings.timing.repetitions
    seconds = settings.timing.seconds / repetitions
    # The input pipeline, which works ahead, stands still while the step is measured alone.
    settle()
    step, torch = [], {}
    for _ in range(repetitions):
        step.append(_burst(method, still, entry.batch_size, seconds)[0])
        for layout, rate in (rival.burst(seconds) if rival else {}).items():
            torch.setdefault(layout, []).append(rate)
    if rival:
        rival.end()
    for _ in range(_AHEAD):
        _take_step(method, running)
    training = [_burst(method, running, entry.batch_size, seconds) for _ in range(repetitions)]
    on_gpus = bool(tf.config.get_visible_devices("GPU"))
    peak = _peak() - (0 if on_gpus else held)
    estimated = estimated_bytes(method, pretrain, replicas, source.size, source.largest_side)
    operations = encoder_work(method, pretrain.views).flops
    # Of one GPU, or of the whole CPU: its logical devices share the cores that are the peak's.
    rate = statistics.median(step) * operations / (replicas if on_gpus else 1)
    return {
        "first_step_seconds": first_step,
        "step": _spread(step),
        "training": _spread([rate for rate, _ in training]),
        "input_wait": statistics.median(wait for _, wait in training),
        "peak_gib": peak / 2**30,
        "estimated_gib": estimated.total / 2**30,
        "share_of_peak": rate / matrix_peak(pretrain.run.precision),
        "torch": {
            layout: _spread(rates) | {"ratio": _spread([a / b for a, b in zip(step, rates)])}
            for layout, rates in torch.items()
        },
    }


def _take_step(method: Method, batches: Iterator) -> dict[str, float]:
    """One execution, finished: its logs are on the host, as the fit loop reads them."""
    return {name: float(value) for name, value in method.make_train_function()(batches).items()}


def _endless(strategy: tf.distribute.Strategy, batch) -> Iterator:
    """The same batch for ever; the next one is sent to the devices while a step runs."""
    local = tf.nest.map_structure(lambda x: strategy.experimental_local_results(x)[0], batch)
    return iter(
        strategy.distribute_datasets_from_function(
            lambda context: tf.data.Dataset.from_tensors(local).repeat()
        )
    )


def _burst(method: Method, batches: Iterator, batch_size: int, seconds: float) -> tuple:
    """(images a second, share of the time spent waiting) over at least `seconds` and one step."""
    gc.collect()
    # An execution need not take all of its steps.
    first_step = method.optimizer.iterations.numpy()
    waited, began = 0.0, time.perf_counter()
    while True:
        waited += _take_step(method, batches)[INPUT_SECONDS]
        taken = time.perf_counter() - began
        if taken >= seconds:
            break
    steps = int(method.optimizer.iterations.numpy() - first_step)
    return steps * batch_size / taken, waited / taken


def _spread(values: list[float]) -> dict[str, float]:
    if not all(math.isfinite(value) for value in values):
        raise ValueError("a rate is not finite")
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def _peak() -> int:
    if tf.config.get_visible_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return peak_bytes()
