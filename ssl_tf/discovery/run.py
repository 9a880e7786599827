"""A discovery: the stages in their order, from images to boxes."""

import dataclasses
import sys
from pathlib import Path

import numpy as np

from ssl_tf.data.boxes import check_boxes
from ssl_tf.data.proposals.format import MANIFEST, fingerprint, write_proposals
from ssl_tf.data.source import Source
from ssl_tf.data.sources.opening import open_training_source
from ssl_tf.data.sources.source_checks import check_guesses, warn_of_turns
from ssl_tf.discovery import beam_stages, report
from ssl_tf.discovery.choice import BOXES, read_proposals
from ssl_tf.discovery.collection import COLLECTION, gather, image_troubles
from ssl_tf.discovery.describing_shards import REGIONS
from ssl_tf.discovery.feature_maps import open_encoder
from ssl_tf.discovery.graph import Graph
from ssl_tf.discovery.images import equal_batches, read_examples
from ssl_tf.discovery.map_encoder import Encoder
from ssl_tf.discovery.matching_shards import GRAPH, PAIRS, write_pairs
from ssl_tf.discovery.ranking import rank_regions
from ssl_tf.errors import SettingsError, UserError, listed, warn
from ssl_tf.files import remove_unfinished, write_json
from ssl_tf.locks import exclusive
from ssl_tf.settings import RANKERS, DiscoverSettings, fields, flagfiles
from ssl_tf.settings.data import with_rule_of
from ssl_tf.sharding import shards
from ssl_tf.training.begun_output import NEW_OUTPUT
from ssl_tf.training.data_places import note_places
from ssl_tf.training.data_record import keep_data
from ssl_tf.training.encoder_record import first_step, keep_encoder, place_of
from ssl_tf.training.encoders import known_images, with_step
from ssl_tf.training.output_directory import FLAGS, check_output, open_output

PROPOSALS = "proposals"
_KIND = "discovery"
_LISTED = 3
_IDS_AT_ONCE = 4096
# The fewest that were measured: 256 cells of 64 channels (docs/discovery.md).
_CELLS_A_CHANNEL = 4


def discover(settings: DiscoverSettings) -> Path:
    """Runs all stages that are not complete.

    Returns:
        The directory of the proposal store.

    Raises:
        UserError: no image is readable, too many are unreadable, the encoder has no maps, or the
            output directory belongs to other settings, other data or another encoder, or is in
            use by another process.
    """
    output = Path(settings.output)
    if (output / FLAGS).is_file():
        recorded = flagfiles.read_flagfile(output / FLAGS, DiscoverSettings)
        settings = dataclasses.replace(settings, data=with_rule_of(recorded.data, settings.data))
    begun = check_output(settings, _KIND)
    with exclusive(output):
        source, _ = open_training_source(settings.data)
        check_guesses(source, judged=False, begun=begun)
        given = settings.features.encoder or settings.features.init.init_encoder
        warn_of_turns(source, known_images(given).orient)
        if not begun:
            _check_ids(source)
        if settings.boxes:
            _check_ground_truth(source)
        # The newest checkpoint is that of the first start, for all processes and later starts.
        step = settings.features.step or first_step(output, given)
        features = with_step(dataclasses.replace(settings.features, step=step))
        encoder = open_encoder(features)
        open_output(settings, _KIND, "discover")
        keep_data(output, {beam_stages.PART: source}, NEW_OUTPUT)
        note_places(output, settings)
        facts = {"sha256": encoder.sha256, "origin": encoder.origin, "step": features.step}
        keep_encoder(output, {**facts, "given": place_of(given)})
        remove_unfinished(output)
        return _run_stages(dataclasses.replace(settings, features=features), source, encoder)


def _check_ids(source: Source) -> None:
    """Checks, before the work, that boxes can be told apart by the ids of their images.

    Raises:
        UserError: two images have one id.
    """
    seen: set[int] = set()
    for ids in source.read(source.ids().batch(_IDS_AT_ONCE)):
        for encoded in ids.tolist():
            image_id = encoded.decode("utf-8", "surrogateescape")
            key = fingerprint(image_id)
            if key in seen:
                raise UserError(
                    f"{source.name}: several images have the id {image_id!r}, by which boxes are "
                    "looked up; give each image an id of its own, in record files under image/id"
                )
            seen.add(key)


def _check_ground_truth(source: Source) -> None:
    """Checks, before the work, the boxes that the found ones are measured on.

    Raises:
        UserError: there are none, or some are no boxes.
    """
    has_boxes = "boxes" in source.sequence().element_spec
    with source.reading():
        if not has_boxes or not list(source.boxes().unbatch().take(1)):
            raise _no_boxes(source)
        check_boxes(source.boxes(), source.name)


def _no_boxes(source: Source) -> SettingsError:
    return SettingsError(
        f"--boxes=ground_truth: {source.name} has no boxes to measure on; leave the flag out"
    )


def _run_stages(settings: DiscoverSettings, source: Source, encoder: Encoder) -> Path:
    output = Path(settings.output)
    maps = f"maps {', '.join(encoder.layers)} of {encoder.origin}"
    _log(f"{source.name}: {source.size} images, {maps}")
    if encoder.fixed_size:
        height, width = encoder.fixed_size
        _log(f"all images are made {height}x{width} pixels, the only size that the encoder takes")
    if settings.is_contrasted and settings.cells.contrast_norm == "whiten":
        _warn_of_few_cells(settings, source, encoder)
    shard_images = settings.shard_images
    sizes = np.diff(np.append(np.arange(0, source.size, shard_images), source.size))
    if settings.discoverer == "lod":
        rankers = _compare_images(settings, sizes)
    else:
        rankers = (settings.discoverer,)
        beam_stages.find(settings, sizes)
        paths = (shards.shard_path(output / REGIONS, number) for number in range(len(sizes)))
        found = [shards.read_arrays(path) for path in paths]
        readable, trouble = (
            np.concatenate([shard[name] for shard in found]) for name in ("readable", "trouble")
        )
        _warn(settings, readable, trouble)
        beam_stages.choose(settings, sizes, {})
    _warn_of_area(settings, len(sizes))
    if not (output / PROPOSALS / MANIFEST).exists():
        manifest = write_proposals(
            output / PROPOSALS,
            read_proposals(output, len(sizes), settings.scorer),
            generator="ssl_tf.discover",
            settings=fields.as_dict(settings),
            max_boxes=settings.ranking.boxes_per_image,
        )
        _log(
            f"proposals: {manifest.boxes} boxes of {manifest.images} images, mean area "
            f"{manifest.mean_area:.2f}, {manifest.images_without_boxes} images without a box"
        )
    costs = report.measure_costs(settings, len(sizes), source.size)
    write_json(output / "costs.json", costs)
    for name, value in costs.items():
        _log(f"  {name.replace('_', ' ')}: {value:.4g}")
    if settings.boxes:
        metrics = report.measure_boxes(settings, len(sizes), rankers)
        if not metrics:
            raise _no_boxes(source)
        print(report.metrics_table(metrics))
    if settings.sheet_images:
        report.draw_boxes(settings, source, len(sizes))
    return output / PROPOSALS


def _warn_of_few_cells(settings: DiscoverSettings, source: Source, encoder: Encoder) -> None:
    """Says that whitening leaves nothing of a map with about as many channels as cells.

    It makes all cells of an image as unlike as they can be, so that a box's contrast follows from
    its area alone. The first image stands for all.
    """
    examples = list(read_examples(source, 0, 1))
    for _, images in equal_batches(examples, settings.features.long_side, 1, encoder):
        finest = max(encoder.maps(images), key=lambda layer: layer.shape[1] * layer.shape[2])
        _, height, width, depth = finest.shape
        if height * width < _CELLS_A_CHANNEL * depth:
            warn(
                f"the finest map of the first image has {height * width} cells of {depth} "
                "channels, too few to be whitened; give --contrast_norm=centre, or a larger "
                "--long_side"
            )


def _compare_images(settings: DiscoverSettings, sizes: np.ndarray) -> tuple[str, ...]:
    """LOD's stages, from the images to the boxes; returns the rankers that have chosen."""
    output, shard_images = Path(settings.output), settings.shard_images
    beam_stages.describe(settings, sizes)
    if not (output / COLLECTION).exists():
        shards.write_arrays(output / COLLECTION, **gather(output, len(sizes)))
    collection = shards.read_arrays(output / COLLECTION)
    readable = collection["readable"]
    _warn(settings, readable, image_troubles(collection))
    _warn_of_likeness(collection)
    if not (output / PAIRS).exists():
        neighbours = settings.ranking.neighbours
        write_pairs(output / PAIRS, collection["image_descriptor"], neighbours, shard_images)
    beam_stages.compare(settings, np.diff(shards.read_arrays(output / PAIRS)["first"]))
    rankers = RANKERS if settings.boxes else (settings.ranking.ranker,)
    score_files = rank(settings, rankers, collection["count"], len(sizes))
    beam_stages.choose(settings, sizes, score_files)
    return rankers


def rank(
    settings: DiscoverSettings, rankers: tuple[str, ...], counts: np.ndarray, shard_count: int
) -> dict[str, Path]:
    """Writes `ranking/NAME.npy`, float64 [R], of each ranker whose file is missing.

    Returns:
        Ranker -> its file.
    """
    directory = Path(settings.output) / beam_stages.RANKING
    directory.mkdir(exist_ok=True)
    files = {name: directory / f"{name}.npy" for name in rankers}
    missing = [name for name, path in files.items() if not path.exists()]
    if missing:
        blocks = Path(settings.output) / GRAPH
        paths = [shards.shard_path(blocks, number) for number in range(shard_count)]
        graph = Graph(paths, int(counts.sum()), settings.memory_mib)
        linked = int((graph.degree > 0).sum())
        _log(
            f"graph: {graph.regions} regions, {linked} of them matched, {graph.entries} scores, "
            f"{graph.blocks_in_memory} of {len(paths)} shards in memory"
        )
    for name in missing:
        values = rank_regions(
            name,
            graph.product,
            graph.degree,
            counts.astype(np.int64),
            settings.ranking,
            _report_iteration,
        )
        shards.write_array(files[name], values)
    return files


def _report_iteration(stage: str, step: int) -> None:
    if step % 25 == 0:
        _log(f"ranking: {stage}, iteration {step}")


def _warn(settings: DiscoverSettings, readable: np.ndarray, trouble: np.ndarray) -> None:
    """Reports images without boxes, one line for each reason.

    Args:
        settings: of the discovery.
        readable: bool [N].
        trouble: text [N], what a readable image has that it gets no boxes; empty if it gets some.

    Raises:
        UserError: more images are unreadable than allowed, or all are.
    """
    unreadable = np.flatnonzero(~readable)
    if unreadable.size:
        message = (
            f"{unreadable.size} unreadable images get no boxes: {_names(settings, unreadable)}"
        )
        if unreadable.size == len(readable):
            raise UserError(f"no image can be decoded: {_names(settings, unreadable)}")
        if unreadable.size > settings.data.max_bad_images:
            raise UserError(
                f"{message}; raise --max_bad_images, or mend them and give a new --output, for "
                "they are other data then"
            )
        warn(message)
    for reason in np.unique(trouble[trouble != ""]).tolist():
        images = np.flatnonzero(trouble == reason)
        warn(f"{images.size} images have {reason} and get no boxes: {_names(settings, images)}")


def _warn_of_area(settings: DiscoverSettings, shard_count: int) -> None:
    """Reports images all of whose regions are above --largest_area.

    Raises:
        UserError: no image has a box.
    """
    output = Path(settings.output)
    counts, chosen = (
        np.concatenate(
            [
                shards.read_arrays(shards.shard_path(output / directory, number))[name]
                for number in range(shard_count)
            ]
        )
        for directory, name in ((REGIONS, "count"), (BOXES, f"{settings.scorer}_count"))
    )
    large = np.flatnonzero((counts > 0) & (chosen == 0))
    if large.size:
        bound = f"--largest_area={settings.ranking.largest_area:g} or less"
        warn(
            f"{large.size} images have no region of {bound} and get no boxes: "
            f"{_names(settings, large)}"
        )
    if not chosen.any():
        raise UserError(
            "no image has a box, for the reasons above; give other flags and another --output"
        )


def _warn_of_likeness(collection: dict[str, np.ndarray]) -> None:
    """Reports images that cannot be told from each other, whose boxes are in no order."""
    described = collection["image_descriptor"][collection["readable"]]
    if len(described) < 2:
        warn("there is one image, nothing to compare it to; its boxes are in no order")
    elif np.ptp(described, axis=0).max(initial=0.0) <= 1e-6 * np.abs(described).max(initial=0.0):
        warn("all images look the same to the encoder; their order says nothing")


def _names(settings: DiscoverSettings, images: np.ndarray) -> str:
    step, names = settings.shard_images, []
    for image in images[: _LISTED + 1].tolist():
        regions = shards.read_arrays(
            shards.shard_path(Path(settings.output) / REGIONS, image // step)
        )
        names.append(regions["id"][image % step].decode("utf-8", "backslashreplace"))
    return listed(names, _LISTED)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
