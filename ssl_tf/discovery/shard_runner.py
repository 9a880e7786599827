"""Work on shards, distributed over processes by Apache Beam.

By default Beam's local runner distributes the shards over one process a core. Another runner works
if its workers see the source and the output directory under the same paths.
"""

import contextlib
import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import apache_beam as beam
import grpc
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from ssl_tf.cores import available_cores
from ssl_tf.discovery.progress import Progress
from ssl_tf.errors import UserError

Work = Callable[[int], None]


class WorkerSettings(Protocol):
    """What settings say about workers.

    Attributes:
        output: directory of all results; the workers' log goes there.
        workers: processes of the local runner; 0: one a core.
        beam_options: options of Apache Beam; empty: this machine.
    """

    output: str
    workers: int
    beam_options: tuple[str, ...]


class _DoShard(beam.DoFn):
    """Processes one shard; the inputs of the work are opened once a process."""

    def __init__(self, prepare: Callable[[], Work]):
        self._prepare = prepare

    def setup(self) -> None:
        self._work = self._prepare()

    def process(self, number: int) -> None:
        self._work(number)


def run_shards(
    settings: WorkerSettings,
    paths: list[Path],
    prepare: Callable[[], Work],
    sizes: np.ndarray,
    unit: str,
) -> None:
    """Does the work of the shards whose files are missing, and prints the progress.

    Args:
        settings: of the workers.
        paths: the file that completes each shard, all in the directory that names the stage.
        prepare: opens the inputs in a process, and gives the work on one shard by its number.
        sizes: int [len(paths)], units of work in each shard.
        unit: name of the unit of work.

    Raises:
        UserError: the work on a shard has failed.
    """
    stage = paths[0].parent.name
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    if not missing:
        print(f"{stage}: all {int(sizes.sum())} {unit} are there", file=sys.stderr)
        return
    with Progress(paths, sizes, unit):
        try:
            with _loopback(), _pipeline(settings, len(missing)) as pipeline:
                numbers = pipeline | beam.Create(missing)
                # Keeps the runner from fusing all shards into one bundle.
                _ = numbers | beam.Reshuffle() | beam.ParDo(_DoShard(prepare))
        except (RuntimeError, UserError, OSError) as error:
            # A runner wraps an error of a worker, with its traceback, in its own error.
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise UserError(
                f"{stage}: {lines[-1].strip() if lines else error}; what is done stays, "
                "the same command resumes"
            ) from error


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


def _pipeline(settings: WorkerSettings, shard_count: int) -> beam.Pipeline:
    if settings.beam_options:
        return beam.Pipeline(options=PipelineOptions(list(settings.beam_options)))
    workers = min(settings.workers or len(available_cores()), shard_count)
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    # Not DirectRunner, which may delegate to another runner that it downloads.
    if workers == 1:
        return beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([]))
    # Each worker has one core. Its log goes to a file, because it would hide the progress.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ.setdefault(name, "1")
    log = shlex.quote(str(Path(settings.output) / "workers.log"))
    worker = f"{shlex.quote(sys.executable)} -m apache_beam.runners.worker.sdk_worker_main"
    environment = SubprocessSDKEnvironment.from_command_string(f"{worker} 2>> {log}")
    options = PipelineOptions([f"--direct_num_workers={workers}"])
    return beam.Pipeline(runner=FnApiRunner(default_environment=environment), options=options)
