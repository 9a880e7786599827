"""Discovery as a user runs it: once, again after a kill, and on images with something wrong."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from ssl_tf import command, discover
from ssl_tf.data.proposals.store import ProposalStore
from ssl_tf.data.scenes.shapes import Scenes
from ssl_tf.discovery import run
from ssl_tf.discovery.map_encoder import Encoder
from ssl_tf.locks import exclusive
from ssl_tf.settings import DiscoverSettings, flagfiles
from tests.data.prepared_tfds import prepare_several
from tests.data.tiny_images import example, png, write_records
from tests.discovery.test_single_image import MAPS

SMALL = (
    "--workers=1 --shard_images=4 --neighbours=3 --max_regions=40 --pair_top_k=50 "
    "--descriptor_projection=4 --square_side=32 --layers=C2,C3 --seed=1"
).split()


def start(exported, output, *flags):
    command.run(
        discover.main,
        DiscoverSettings,
        [*SMALL, f"--encoder={exported}", f"--output={output}", *flags],
    )


SCENES = "--dataset=scenes --scenes=10 --scene_size=64 --boxes=ground_truth".split()


@pytest.fixture(scope="module")
def done(exported, tmp_path_factory):
    output = tmp_path_factory.mktemp("discovery") / "scenes"
    start(exported, output, *SCENES)
    return output


def test_every_image_gets_boxes_and_all_methods_are_measured(done):
    ids, splits, boxes = ProposalStore(done / "proposals").read()
    assert ids.tolist() == [f"scenes/train/{n}".encode() for n in range(10)]
    assert (np.diff(splits) >= 1).all() and (np.diff(splits) <= 10).all()
    assert (boxes >= 0).all() and (boxes <= 1).all()
    measured = json.loads((done / "metrics.json").read_text())
    assert measured.pop("images") == 10
    assert set(measured) == {
        "lod", "q", "pagerank", "degree", "most salient box", "random proposals", "full image",
        "centre box, half the sides", "centre box, half the area", "all proposals",
    }  # fmt: skip
    bound = measured["all proposals"]["detection_rate"]
    assert all(
        measured[name]["detection_rate"] <= bound for name in ("lod", "q", "random proposals")
    )
    costs = json.loads((done / "costs.json").read_text())
    # 3 neighbours each way of 10 images
    assert 15 <= costs["pairs"] <= 30 and costs["pairs_per_second_per_core"] > 0
    assert (done / "boxes.png").stat().st_size > 10_000


def test_images_that_would_be_guessed_are_refused(exported, tmp_path, capsys):
    prepare_several(tmp_path)
    with pytest.raises(SystemExit):
        start(exported, tmp_path / "out", "--dataset=pairs", f"--data_dir={tmp_path}")
    assert "none is called image; name one by --image_feature" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_files_are_as_documented(done):
    regions = [np.load(done / "regions" / f"{n:06d}.npz") for n in range(3)]
    assert [len(one["count"]) for one in regions] == [4, 4, 2]
    total = sum(int(one["count"].sum()) for one in regions)
    graph = [np.load(done / "graph" / f"{n:06d}.npz") for n in range(3)]
    starts = np.cumsum([0, *(int(one["count"].sum()) for one in regions)])
    image = np.repeat(np.arange(10), np.concatenate([one["count"] for one in regions]))
    matrix = np.zeros([total, total])
    for number, one in enumerate(graph):
        assert one["start"] == starts[number]
        assert len(one["indptr"]) == starts[number + 1] - starts[number] + 1
        rows = starts[number] + np.repeat(np.arange(len(one["indptr"]) - 1), np.diff(one["indptr"]))
        columns = one["columns"][one["indices"]]
        assert (matrix[rows, columns] == 0).all() and (matrix[columns, rows] == 0).all()
        matrix[rows, columns] += one["data"]
    assert (matrix[image[:, None] == image] == 0).all()
    np.testing.assert_allclose(
        np.load(done / "ranking" / "degree.npy"), (matrix + matrix.T).sum(axis=1), rtol=1e-6
    )
    table = np.load(done / "descriptors" / "000001.npy")
    assert table.shape == (regions[1]["count"].sum(), 49 * 4) and table.dtype == np.float16


def test_what_a_kill_left_undone_is_made_and_the_boxes_are_the_same(done, exported, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(done, again)
    shutil.rmtree(again / "proposals")
    shutil.rmtree(again / "boxes")
    shutil.rmtree(again / "ranking")
    for name in ("regions/000001.npz", "descriptors/000001.npy", "graph/000000.npz"):
        (again / name).unlink()
    leftovers = [f"{name}.77.writing" for name in ("regions/000001.npz", "descriptors/000001.npy")]
    leftovers += ["graph/000000.npz.77.writing", "collection.npz.77.writing"]
    (again / "boxes").mkdir()
    for name in (*leftovers, "boxes/000000.npz.77.writing"):
        (again / name).write_bytes(b"half")
    kept = (again / "regions" / "000002.npz").stat().st_mtime_ns
    flags = (again / "flags.txt").read_text().replace(str(done), str(again))
    (again / "flags.txt").write_text(flags)
    start(exported, again, *SCENES, "--memory_mib=1")
    assert (again / "regions" / "000002.npz").stat().st_mtime_ns == kept
    assert not list(again.rglob("*.writing"))
    for name in ("regions/000001.npz", "graph/000000.npz"):
        one, two = np.load(done / name), np.load(again / name)
        for key in set(one.files) - {"seconds"}:
            np.testing.assert_array_equal(one[key], two[key], err_msg=f"{name} {key}")
    file = "proposals/proposals-00000.tfrecord"
    assert (done / file).read_bytes() == (again / file).read_bytes()


def test_a_damaged_descriptor_can_be_removed_as_it_is_told(done, exported, tmp_path, capsys):
    again = tmp_path / "again"
    shutil.copytree(done, again)
    for name in ("proposals", "boxes", "ranking", "graph"):
        shutil.rmtree(again / name)
    flags = (again / "flags.txt").read_text().replace(str(done), str(again))
    (again / "flags.txt").write_text(flags)
    damaged = again / "descriptors/000001.npy"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(SystemExit):
        start(exported, again, *SCENES)
    assert "descriptors/000001.npy cannot be read" in capsys.readouterr().err
    damaged.unlink()
    start(exported, again, *SCENES)
    file = "proposals/proposals-00000.tfrecord"
    assert (done / file).read_bytes() == (again / file).read_bytes()


def test_regions_that_were_made_again_are_those_that_were_compared(
    done, exported, tmp_path, capsys
):
    again = tmp_path / "again"
    shutil.copytree(done, again)
    shutil.rmtree(again / "proposals")
    shutil.rmtree(again / "boxes")
    flags = (again / "flags.txt").read_text().replace(str(done), str(again))
    (again / "flags.txt").write_text(flags)
    path = again / "collection.npz"
    arrays = dict(np.load(path))
    arrays["count"] = arrays["count"] + 1
    np.savez(path, **arrays)
    with pytest.raises(SystemExit):
        start(exported, again, *SCENES)
    assert "was made again, with other regions than those that were" in capsys.readouterr().err


def test_boxes_of_one_ranker_are_measured_beside_the_others_later(done, exported, tmp_path):
    """A start without --boxes leaves those of one ranker; the same with --boxes measures all."""
    later = tmp_path / "later"
    shutil.copytree(done, later)
    (later / "metrics.json").unlink()
    for name in ("q", "pagerank", "degree"):
        (later / "ranking" / f"{name}.npy").unlink()
    for path in (later / "boxes").iterdir():
        arrays = {name: x for name, x in np.load(path).items() if name.startswith("lod_")}
        np.savez(path, **arrays)
    flags = (later / "flags.txt").read_text().replace(str(done), str(later))
    (later / "flags.txt").write_text(flags.replace("--boxes=ground_truth", "--boxes="))
    start(exported, later, *SCENES)
    assert (later / "metrics.json").read_bytes() == (done / "metrics.json").read_bytes()
    kept = (later / "boxes" / "000000.npz").stat().st_mtime_ns
    start(exported, later, *(flag for flag in SCENES if not flag.startswith("--boxes")))
    assert (later / "boxes" / "000000.npz").stat().st_mtime_ns == kept


def test_other_flags_do_not_mix_with_what_is_there(done, exported, capsys):
    with pytest.raises(SystemExit) as caught:
        start(exported, done, *SCENES, "--peaks=3")
    assert caught.value.code == 2
    assert "--peaks=20 there, 3 here" in capsys.readouterr().err


def test_an_encoder_that_learned_on_does_not_mix_with_the_one_before(done, exported, capsys):
    record = done / "encoder.json"
    before = record.read_text()
    facts = json.loads(before)
    assert len(facts["sha256"]) == 64 and facts["origin"] == f"SavedModel {exported}"
    record.write_text(json.dumps({"sha256": "other", "origin": "step 7 of run"}))
    with pytest.raises(SystemExit) as caught:
        start(exported, done, *SCENES)
    record.write_text(before)
    assert caught.value.code == 1
    assert "are of another encoder (step 7 of run), not of" in capsys.readouterr().err


def test_odd_images_are_named_and_the_rest_goes_on(photographs, exported, tmp_path, capsys):
    (photographs / "broken.png").write_bytes(b"no image")
    import tensorflow as tf

    tf.io.write_file(str(photographs / "dot.png"), tf.io.encode_png(np.zeros([3, 3, 3], np.uint8)))
    output = tmp_path / "out"
    start(exported, output, f"--image_folder={photographs}")
    told = capsys.readouterr().err
    assert "1 unreadable images get no boxes: broken.png" in told
    assert "1 images have a map of one cell and get no boxes: dot.png" in told
    ids, splits, _ = ProposalStore(output / "proposals").read()
    counts = dict(zip(ids.tolist(), np.diff(splits).tolist()))
    assert counts.pop(b"broken.png") == counts.pop(b"dot.png") == 0
    assert len(counts) == 6 and min(counts.values()) >= 1
    with pytest.raises(SystemExit) as caught:
        start(exported, output, f"--image_folder={photographs}", "--max_bad_images=0")
    assert caught.value.code == 1
    told = "raise --max_bad_images, or mend them and give a new --output"
    assert told in capsys.readouterr().err


def test_too_many_unreadable_images_end_the_first_shard(photographs, exported, tmp_path, capsys):
    """All other images would else be described before."""
    (photographs / "0.png").write_bytes(b"no image")
    output = tmp_path / "out"
    flags = (f"--image_folder={photographs}", "--workers=1", "--shard_images=2")
    with pytest.raises(SystemExit) as caught:
        start(exported, output, *flags, "--max_bad_images=0")
    assert caught.value.code == 1
    told = capsys.readouterr().err
    assert "1 images cannot be decoded (the first: 0.png), more than --max_bad_images=0" in told
    assert not list((output / "regions").glob("*.npz"))
    start(exported, output, *flags)
    assert "1 unreadable images get no boxes: 0.png" in capsys.readouterr().err


def test_bad_maps_are_told_in_one_line_each_and_disturb_no_other(tmp_path, monkeypatch, capsys):
    import tensorflow as tf

    folder = tmp_path / "images"
    folder.mkdir()
    maps = [*MAPS.values(), MAPS["good"]]
    descriptors = np.eye(len(maps), dtype=np.float32) + 1
    descriptors[list(MAPS).index("NaN")] = np.nan
    for number, name in enumerate([*MAPS, "good too"]):
        # the colour tells the encoder whose features are asked for
        image = np.full([20 + number, 30, 3], number, np.uint8)
        tf.io.write_file(str(folder / f"{number} {name}.png"), tf.io.encode_png(image))
    encoder = Encoder(
        lambda images: [tf.constant(maps[int(images[0, 0, 0, 0])][None])],
        lambda images: tf.constant(descriptors[images[:, 0, 0, 0]]),
        ("x",),
    )
    monkeypatch.setattr(run, "open_encoder", lambda features: encoder)
    monkeypatch.setattr("ssl_tf.discovery.feature_maps.open_encoder", lambda features: encoder)
    flags = ["--layers=", "--descriptor_projection=0", f"--image_folder={folder}"]
    start("planted", tmp_path / "out", *flags)
    told = capsys.readouterr().err
    for reason, name in (
        ("a map of one cell", "0 one cell"),
        ("the same features everywhere", "1 constant"),
        ("features that are no finite numbers", "2 NaN"),
    ):
        assert f"warning: 1 images have {reason} and get no boxes: {name}.png\n" in told
    images = {i.image_id: i for i in ProposalStore(tmp_path / "out" / "proposals").images()}
    with_boxes = [name for name, image in images.items() if len(image.boxes)]
    # lod has no limit of cells: its memory goes with the regions
    assert with_boxes == ["3 too large.png", "4 good.png", "5 good too.png"]
    assert all(np.isfinite(images[name].scores).all() for name in with_boxes)
    assert max(images["4 good.png"].scores) > 0


@pytest.mark.parametrize("channels, told", [(16, False), (17, True), (768, True)])
def test_maps_that_whitening_empties_are_told(channels, told, capsys):
    flags = ["--dataset=scenes", "--scenes=4", "--scene_size=64", "--encoder=x", "--output=x"]
    settings = flagfiles.parse([*flags, "--discoverer=contrast"], DiscoverSettings)

    def maps(images):
        height, width = (side // 8 for side in images.shape[1:3])
        return [np.zeros([1, 2, 2, 1024]), np.zeros([1, height, width, channels])]

    encoder = Encoder(maps, describe=None, layers=("C3",))
    settings = dataclasses.replace(
        settings, features=dataclasses.replace(settings.features, long_side=0)
    )
    run._warn_of_few_cells(settings, Scenes("train", 4, 64), encoder)
    warning = f"has 64 cells of {channels} channels, too few to be whitened"
    assert (warning in capsys.readouterr().err) == told


def test_one_image_and_equal_images_are_told_and_get_boxes(photographs, exported, tmp_path, capsys):
    one = tmp_path / "one"
    one.mkdir()
    shutil.copy(photographs / "0.png", one / "a.png")
    start(exported, tmp_path / "out1", f"--image_folder={one}")
    assert "there is one image, nothing to compare it to" in capsys.readouterr().err
    for name in "bcd":
        shutil.copy(photographs / "0.png", one / f"{name}.png")
    start(exported, tmp_path / "out4", f"--image_folder={one}")
    assert "all images look the same" in capsys.readouterr().err
    for output, count in (("out1", 1), ("out4", 4)):
        splits = ProposalStore(tmp_path / output / "proposals").read()[1]
        assert len(splits) == count + 1 and (np.diff(splits) >= 1).all()


def test_an_id_of_two_images_is_told_before_the_work(tmp_path, capsys):
    """An encoder was not even looked for."""
    records = [example(image__encoded=png(n, 64, 64), image__filename=b"a.png") for n in range(2)]
    path = write_records(tmp_path / "a", records)
    with pytest.raises(SystemExit) as caught:
        start(tmp_path / "no_encoder", tmp_path / "out", f"--tfrecord={path}")
    assert caught.value.code == 1 and not (tmp_path / "out").exists()
    assert "several images have the id 'a.png'" in capsys.readouterr().err


def test_without_annotations_there_is_nothing_to_measure(photographs, tmp_path, capsys):
    """It is told before the work: an encoder was not even looked for."""
    path = write_records(tmp_path / "a", [example(image__encoded=png(n, 64, 64)) for n in range(2)])
    for images in (f"--image_folder={photographs}", f"--tfrecord={path}"):
        with pytest.raises(SystemExit) as caught:
            start(tmp_path / "no_encoder", tmp_path / "out", images, "--boxes=ground_truth")
        told = capsys.readouterr().err
        assert caught.value.code == 2 and "has no boxes to measure on; leave" in told
        assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit):
        start("", tmp_path / "out2", f"--image_folder={photographs}")
    assert "--encoder, --init_encoder: give one of them" in capsys.readouterr().err


def test_objects_of_an_unreadable_image_are_missed(exported, tmp_path, capsys):
    """Else the figure would be of other images than where it can be read."""
    corners = {"ymin": 0.1, "xmin": 0.2, "ymax": 0.5, "xmax": 0.6}
    fields = {f"image__object__bbox__{side}": value for side, value in corners.items()}
    records = [example(image__encoded=b"none", **fields)]
    records += [example(image__encoded=png(n, 64, 64), **fields) for n in range(3)]
    path = write_records(tmp_path / "a", records)
    start(exported, tmp_path / "out", f"--tfrecord={path}", "--boxes=ground_truth")
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    assert found["images"] == 4
    # The whole image has less than half of each box; regions have the three that can be read.
    assert found["all proposals"]["detection_rate"] in (0.0, 0.25, 0.5, 0.75)
    three = {f"image__object__bbox__{side}": [0.0, 1.0][side[1:] == "max"] for side in corners}
    records = [example(image__encoded=b"none", **three)]
    records += [example(image__encoded=png(n, 64, 64), **three) for n in range(3)]
    path = write_records(tmp_path / "b", records)
    start(exported, tmp_path / "whole", f"--tfrecord={path}", "--boxes=ground_truth")
    found = json.loads((tmp_path / "whole/metrics.json").read_text())
    assert found["full image"]["corloc"] == 0.75


def test_ground_truth_in_pixels_measures_nothing(tmp_path, capsys):
    """It is told before the work: an encoder was not even looked for."""
    corners = {"ymin": 10.0, "xmin": 20.0, "ymax": 30.0, "xmax": 60.0}
    fields = {f"image__object__bbox__{side}": value for side, value in corners.items()}
    records = [example(image__encoded=png(n, 64, 64), **fields) for n in range(2)]
    path = write_records(tmp_path / "a", records)
    with pytest.raises(SystemExit) as ended:
        flags = [f"--tfrecord={path}", "--boxes=ground_truth"]
        start(tmp_path / "no_encoder", tmp_path / "out", *flags)
    told = capsys.readouterr().err
    assert ended.value.code == 1 and "2 of 2 boxes lie outside" in told and "10, 20, 30, 60" in told


def test_a_second_start_on_the_output_is_refused(tmp_path, capsys):
    with exclusive(tmp_path / "out"), pytest.raises(SystemExit) as ended:
        start(tmp_path / "no_encoder", tmp_path / "out", *SCENES)
    assert ended.value.code == 1 and "out is in use by process" in capsys.readouterr().err


def test_regions_are_ordered_by_the_graph_and_by_contrast_together(done, exported, tmp_path):
    output = tmp_path / "both"
    start(exported, output, *SCENES, "--rank_with_contrast", "--contrast_norm=centre")
    scores, contrasts = np.load(output / "ranking" / "lod.npy"), []
    np.testing.assert_array_equal(scores, np.load(done / "ranking" / "lod.npy"))
    best = []
    for number in range(3):
        regions = np.load(output / "regions" / f"{number:06d}.npz")
        ends = np.cumsum(regions["count"])
        for first, last in zip(ends - regions["count"], ends):
            contrast = regions["contrast"][first:last]
            graph = scores[len(contrasts) : len(contrasts) + last - first]
            ranks = np.zeros(last - first)
            for values in (graph, contrast):
                for rank, index in enumerate(np.argsort(-values, kind="stable")):
                    ranks[index] += rank
            best.append(1 - ranks.min() / (2 * len(ranks)))
            contrasts.extend(contrast)
    assert np.ptp(contrasts) > 0.1
    found = [image.scores for image in ProposalStore(output / "proposals").images()]
    np.testing.assert_allclose([of_image[0] for of_image in found], best, rtol=1e-6)
    assert all((np.diff(of_image) <= 0).all() for of_image in found)
