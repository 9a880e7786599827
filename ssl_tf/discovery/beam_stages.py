"""The stages over all shards, as Apache Beam transforms.

Every stage maps the numbers of shards to files; existing files are kept. By default Beam's local
runner distributes the shards over one process a core. Another runner works if its workers see the
source and the output directory under the same paths.
"""

import contextlib
import functools
import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import apache_beam as beam
import grpc
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from ssl_tf.cores import available_cores
from ssl_tf.discovery import shards
from ssl_tf.discovery.choice import BOXES, choose_shard
from ssl_tf.discovery.collection import Collection
from ssl_tf.discovery.description import DESCRIPTORS, REGIONS, describe_shard
from ssl_tf.discovery.matching_shards import GRAPH, PAIRS, match_shard
from ssl_tf.discovery.progress import Progress
from ssl_tf.errors import UserError
from ssl_tf.settings import DiscoverSettings

Work = Callable[[int], None]

# What a stage does, by the directory of its shards.
_TITLES = {REGIONS: "regions of images", GRAPH: "matches of pairs", BOXES: "choice of boxes"}


class _DoShard(beam.DoFn):
    """Processes one shard in a stage; the inputs of the stage are opened once a process."""

    def __init__(self, prepare: Callable[[], Work]):
        self._prepare = prepare

    def setup(self) -> None:
        self._work = self._prepare()

    def process(self, number: int) -> None:
        self._work(number)


def describe(settings: DiscoverSettings, sizes: np.ndarray) -> None:
    """Writes `regions/` and `descriptors/`; sizes: number of images of each shard."""
    (Path(settings.output) / DESCRIPTORS).mkdir(exist_ok=True)
    _run(settings, REGIONS, functools.partial(_prepare_describe, settings), sizes, "images")


def find(settings: DiscoverSettings, sizes: np.ndarray) -> None:
    """Writes `regions/` of objects of single images; sizes: number of images of each shard."""
    _run(settings, REGIONS, functools.partial(_prepare_find, settings), sizes, "images")


def compare(settings: DiscoverSettings, sizes: np.ndarray) -> None:
    """Writes `graph/`; sizes: number of pairs of each shard."""
    _run(settings, GRAPH, functools.partial(_prepare_compare, settings), sizes, "pairs")


def choose(settings: DiscoverSettings, sizes: np.ndarray, score_files: dict[str, Path]) -> None:
    """Writes `boxes/`.

    Args:
        settings: of the discovery.
        sizes: number of images of each shard.
        score_files: ranker -> npy of its scores, float64 [R]; empty: the regions have scores.
    """
    prepare = functools.partial(_prepare_choose, settings, score_files)
    _run(settings, BOXES, prepare, sizes, "images")


def _prepare_describe(settings: DiscoverSettings) -> Work:
    from ssl_tf.data.sources.opening import open_training_source
    from ssl_tf.discovery.feature_maps import open_encoder

    source, _ = open_training_source(settings.data)
    encoder = open_encoder(settings.features)
    return lambda number: describe_shard(number, source, encoder, settings, Path(settings.output))


def _prepare_find(settings: DiscoverSettings) -> Work:
    from ssl_tf.data.sources.opening import open_training_source
    from ssl_tf.discovery.feature_maps import open_encoder
    from ssl_tf.discovery.single_image import find_shard

    source, _ = open_training_source(settings.data)
    encoder = open_encoder(settings.features)
    return lambda number: find_shard(number, source, encoder, settings, Path(settings.output))


def _prepare_compare(settings: DiscoverSettings) -> Work:
    output = Path(settings.output)
    collection = Collection(
        output, settings.shard_images, settings.features.descriptor_norm, settings.memory_mib
    )
    table = shards.read_arrays(output / PAIRS)

    def work(number: int) -> None:
        pairs = table["pairs"][table["first"][number] : table["first"][number + 1]]
        match_shard(number, pairs, collection, settings.shard_images, settings.ranking, output)

    return work


def _prepare_choose(settings: DiscoverSettings, score_files: dict[str, Path]) -> Work:
    output, ranking = Path(settings.output), settings.ranking
    if not score_files:

        def choose_found(number: int) -> None:
            found = shards.read_arrays(shards.shard_path(output / REGIONS, number))
            choose_shard(number, {settings.discoverer: found["scores"]}, ranking, output)

        return choose_found
    scores = {name: shards.read_array(path) for name, path in score_files.items()}
    collection = Collection(output, settings.shard_images, settings.features.descriptor_norm, 0)

    def work(number: int) -> None:
        images = slice(number * settings.shard_images, (number + 1) * settings.shard_images)
        start, count = collection.starts[images][0], collection.counts[images].sum()
        shard_scores = {
            name: np.array(array[start : start + count]) for name, array in scores.items()
        }
        choose_shard(number, shard_scores, ranking, output)

    return work


def _run(
    settings: DiscoverSettings,
    stage: str,
    prepare: Callable[[], Work],
    sizes: np.ndarray,
    unit: str,
) -> None:
    directory = Path(settings.output) / stage
    directory.mkdir(exist_ok=True)
    paths = [shards.shard_path(directory, number) for number in range(len(sizes))]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    title = f"{_TITLES[stage]} ({stage}/)"
    if not missing:
        print(f"{title}: all {int(sizes.sum())} {unit} are there", file=sys.stderr)
        return
    with Progress(title, paths, sizes, unit):
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


def _pipeline(settings: DiscoverSettings, shard_count: int) -> beam.Pipeline:
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
