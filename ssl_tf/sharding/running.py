"""A stage over all shards, as an Apache Beam transform.

A stage maps the numbers of shards to files; existing files are kept. By default Beam's local runner
distributes the shards over one process a core. Another runner works if its workers see the inputs
and the output directory under the same paths.
"""

import contextlib
import ctypes
import io
import logging
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import apache_beam as beam
import grpc
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from ssl_tf.cores import available_cores
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.sharding.lost_workers import lost_workers_told
from ssl_tf.sharding.progress import Progress

Work = Callable[[int], None]

# Numbers of options in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# What a runner puts around the message of an error in a worker.
_WRAPPING = re.compile(r"^(RuntimeError: )?(ssl_tf\.[\w.]+: )?| \[while running .*\]$")


class _DoShard(beam.DoFn):
    """Processes one shard in a stage; the inputs of the stage are opened once a process."""

    def __init__(self, prepare: Callable[[], Work]):
        self._prepare = prepare

    def setup(self) -> None:
        _keep_freed_memory()
        self._work = self._prepare()

    def process(self, number: int) -> None:
        self._work(number)


def run_shards(
    stage: str,
    prepare: Callable[[], Work],
    paths: Sequence[Path],
    sizes: np.ndarray,
    unit: str,
    *,
    log: Path,
    workers: int = 0,
    beam_options: Sequence[str] = (),
) -> None:
    """Does the work of every shard whose file is missing.

    Args:
        stage: name of the stage, for messages.
        prepare: opens the inputs in a worker; the result writes the file of a shard, given its
            number.
        paths: the file of each shard.
        sizes: int [len(paths)], units of work in each shard.
        unit: name of the unit of work, such as "images".
        log: file for what the workers print.
        workers: processes of the local runner; 0: one a core.
        beam_options: options of another runner; empty: the local one.

    Raises:
        UserError: a worker failed; the message is the last line of its error.
    """
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    if not missing:
        print(f"{stage}: all {int(sizes.sum())} {unit} are there", file=sys.stderr)
        return
    made = _pipeline(len(missing), log, workers, beam_options)
    with Progress(stage, list(paths), sizes, unit):
        try:
            with lost_workers_told(), _loopback(), made as pipeline:
                numbers = pipeline | beam.Create(missing)
                # Keeps the runner from fusing all shards into one bundle.
                _ = numbers | beam.Reshuffle() | beam.ParDo(_DoShard(prepare))
        except (RuntimeError, UserError, OSError) as error:
            # A runner wraps an error of a worker, with its traceback, in its own error.
            lines = [line for line in str(error).splitlines() if line.strip()]
            cause = _WRAPPING.sub("", lines[-1].strip()) if lines else error
            raise UserError(
                f"{stage}: {cause}; what is done stays, the same command resumes"
            ) from error


def _keep_freed_memory() -> None:
    """Lets glibc keep the memory of freed arrays up to some MiB.

    It gives large pieces back at once, and the next array of that size costs a page fault every
    4 KiB: half of the time of what makes many such arrays, as Hough matching does.
    """
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_TRIM_THRESHOLD, 128 * 2**20)
    mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)


@contextlib.contextmanager
def _loopback() -> Iterator[None]:
    """Lets servers that listen on all interfaces listen on this machine's own, inside the block.

    Beam's local runner opens ports for its worker processes, which it calls by "localhost". They
    take orders from whoever reaches them. A runner for several machines opens its own elsewhere.
    """
    make = grpc.server

    def server(*arguments, **keywords) -> grpc.Server:
        made = make(*arguments, **keywords)
        add = made.add_insecure_port
        made.add_insecure_port = lambda address: add(address.replace("[::]:", "localhost:"))
        return made

    grpc.server = server
    try:
        yield
    finally:
        grpc.server = make


def _on_runner(beam_options: Sequence[str]) -> beam.Pipeline:
    """A pipeline on the runner that options name.

    Raises:
        SettingsError: Beam has no such runner, or an option has no such value.
    """
    usage = io.StringIO()
    try:
        with contextlib.redirect_stderr(usage):
            options = PipelineOptions(list(beam_options))
            options.get_all_options()  # parses them, which a pipeline does when it is too late
            return beam.Pipeline(options=options)
    except (ValueError, SystemExit) as error:
        # argparse prints its usage, and the cause on the last line.
        cause = usage.getvalue().strip().splitlines()[-1:] or [str(error)]
        raise SettingsError(
            f"--beam_options={','.join(beam_options)}: {cause[0]}; give options of Apache Beam"
        ) from None


def _pipeline(
    shard_count: int, log: Path, workers: int, beam_options: Sequence[str]
) -> beam.Pipeline:
    if beam_options:
        return _on_runner(beam_options)
    workers = min(workers or len(available_cores()), shard_count)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    # Not DirectRunner, which may delegate to another runner that it downloads.
    if workers == 1:
        return beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([]))
    # Each worker has one core, and no GPU, which dozens of processes would crowd. Its log goes to a
    # file, because it would hide the progress.
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    given = " ".join(f"{name}={shlex.quote(os.environ.get(name, '1'))}" for name in threads)
    worker = f"{shlex.quote(sys.executable)} -m apache_beam.runners.worker.sdk_worker_main"
    command = f"CUDA_VISIBLE_DEVICES= {given} {worker} 2>> {shlex.quote(str(log))}"
    environment = SubprocessSDKEnvironment.from_command_string(command)
    options = PipelineOptions([f"--direct_num_workers={workers}"])
    return beam.Pipeline(runner=FnApiRunner(default_environment=environment), options=options)
