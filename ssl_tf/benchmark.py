"""Measures the speed of the input or of training, beside that of other libraries.

`python -m ssl_tf.benchmark input --flagfile=configs/ma_ssrl.flags`
`python -m ssl_tf.benchmark train --flagfile=configs/byol.flags --grid_batch_size=128,256`

input: floor and recipe take turns in one process that has one core, then in one that has all; other
libraries (`--against`) and single operations on the one core. train: the step alone and with its
input, each entry of a grid of precision, XLA, place of augmentation and batch in its own process.
"""

import concurrent.futures
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from ssl_tf import command
from ssl_tf.cores import available_cores
from ssl_tf.errors import UserError
from ssl_tf.files import prepare_output, write_json
from ssl_tf.settings import InputBenchmarkSettings, TrainBenchmarkSettings
from ssl_tf.settings.benchmarking import Entry


def measure_input(settings: InputBenchmarkSettings) -> None:
    """Measures the pipelines of views, on one core and on all."""
    from ssl_tf.benchmarking.tables import summarize, tables

    if settings.output:
        prepare_output(Path(settings.output))
    cores = available_cores()
    cores = cores[: settings.cores or len(cores)]
    print("measuring on one core", file=sys.stderr)
    one_core = alone(_one_core, settings, cores[:1])
    several = None
    if len(cores) > 1:
        print(f"measuring on {len(cores)} cores", file=sys.stderr)
        several = alone(_cores, settings, cores)
    result = summarize(settings, one_core, several, len(cores))
    print(tables(result))
    if settings.output:
        write_json(Path(settings.output), result)


def measure_training(settings: TrainBenchmarkSettings) -> None:
    """Measures the training step over a grid, alone and with its input."""
    from ssl_tf.benchmarking.train_results import TrainResults

    results = TrainResults(settings, alone(_devices, settings))
    for entry in settings.entries:
        if entry in results:
            print(f"{entry}: measured before", file=sys.stderr)
            continue
        print(f"measuring {entry}", file=sys.stderr)
        try:
            results.add(entry, alone(_entry, settings, entry))
        except UserError as error:
            results.add(entry, {"failed": str(error)})
    print(results.table())


def alone(measure: Callable, *arguments):
    """The result of `measure(*arguments)` in a new process: TensorFlow sizes its pools once.

    Raises:
        UserError: the process was killed.
    """
    context = multiprocessing.get_context("spawn")
    try:
        with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
            return pool.submit(measure, *arguments).result()
    except BrokenProcessPool:
        raise UserError(
            "the measuring process was killed, most likely for its memory; give a smaller --sample "
            "or batch"
        ) from None


def _devices(settings: TrainBenchmarkSettings) -> dict:
    command.import_quietly()
    from ssl_tf.benchmarking.train import devices

    return devices(settings)


def _entry(settings: TrainBenchmarkSettings, entry: Entry) -> dict:
    command.import_quietly()
    import tensorflow as tf

    from ssl_tf.benchmarking.train import measure_entry

    try:
        return measure_entry(settings, entry)
    except tf.errors.ResourceExhaustedError:
        raise UserError("out of memory") from None


def _one_core(settings: InputBenchmarkSettings, cores: Sequence[int]) -> dict:
    _confine(cores)
    from ssl_tf.benchmarking.input import measure_one_core

    return measure_one_core(settings)


def _cores(settings: InputBenchmarkSettings, cores: Sequence[int]) -> dict[str, dict[str, float]]:
    _confine(cores)
    from ssl_tf.benchmarking.input import measure_cores

    return measure_cores(settings, len(cores))


def _confine(cores: Sequence[int]) -> None:
    """Binds this process to the cores and TensorFlow's pools to their number."""
    os.sched_setaffinity(0, cores)
    command.import_quietly()
    import tensorflow as tf

    # Images are parallel, so one operation needs no second thread.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(len(cores))


ACTIONS = {
    "input": (measure_input, InputBenchmarkSettings),
    "train": (measure_training, TrainBenchmarkSettings),
}

if __name__ == "__main__":
    command.run_action(ACTIONS)
