"""Measures the speed of the input, beside that of other libraries.

`python -m ssl_tf.benchmark input --flagfile=configs/ma_ssrl.flags`

Floor and recipe take turns in one process that has one core, then in one that has all; other
libraries (`--against`) and single operations on the one core.
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
from ssl_tf.errors import EXIT_FLAGS, UserError
from ssl_tf.files import prepare_output, write_json
from ssl_tf.settings import BenchmarkSettings


def main(settings: BenchmarkSettings) -> None:
    """Measures, prints the tables and, with --output, writes a JSON file."""
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


def alone(measure: Callable, settings: BenchmarkSettings, cores: Sequence[int]):
    """The result of `measure(settings, cores)` in a new process: TensorFlow sizes its pools once.

    Raises:
        UserError: the process was killed.
    """
    context = multiprocessing.get_context("spawn")
    try:
        with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
            return pool.submit(measure, settings, cores).result()
    except BrokenProcessPool:
        raise UserError(
            f"the measuring process was killed, most likely for its memory; lower --sample="
            f"{settings.sample}"
        ) from None


def _one_core(settings: BenchmarkSettings, cores: Sequence[int]) -> dict:
    _confine(cores)
    from ssl_tf.benchmarking.input import measure_one_core

    return measure_one_core(settings)


def _cores(settings: BenchmarkSettings, cores: Sequence[int]) -> dict[str, dict[str, float]]:
    _confine(cores)
    from ssl_tf.benchmarking.input import measure_cores

    return measure_cores(settings, len(cores))


def _confine(cores: Sequence[int]) -> None:
    """Binds this process to the cores and TensorFlow's pools to their number."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    import tensorflow as tf

    # Images are parallel, so one operation needs no second thread.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(len(cores))


def run(arguments: Sequence[str]) -> None:
    """The command line behind `python -m ssl_tf.benchmark`; its first word says what to measure."""
    if arguments[:1] not in (["input"], ["--help"], ["--help=all"], ["--version"]):
        print(
            "error: say what to measure: python -m ssl_tf.benchmark input --flagfile=...",
            file=sys.stderr,
        )
        sys.exit(EXIT_FLAGS)
    command.run_action({"input": (main, BenchmarkSettings)}, arguments)


if __name__ == "__main__":
    run(sys.argv[1:])
