"""Discovery in single images as a user runs it: killed or not, and on maps that are wrong."""

import json
import shutil

import numpy as np
import pytest

from ssl_tf import command, discover
from ssl_tf.data.proposals.masks import decode_mask
from ssl_tf.data.proposals.store import ProposalStore
from ssl_tf.discovery import run, single_image
from ssl_tf.discovery.cells import normalized
from ssl_tf.discovery.contrast import surround_contrast
from ssl_tf.discovery.map_encoder import Encoder
from ssl_tf.settings import DiscoverSettings, flagfiles
from tests.discovery.test_normalized_cut import planted

SMALL = "--workers=1 --shard_images=4 --layers=C2,C3".split()
SCENES = "--dataset=scenes --scenes=10 --scene_size=64 --boxes=ground_truth".split()

FLAGS = {
    "ncut": ["--discoverer=ncut", "--cell_norm=centre"],
    "lost": ["--discoverer=lost", "--cell_norm=centre"],
    "contrast": ["--discoverer=contrast", "--largest_area=0.5"],
}


def start(exported, output, *flags):
    given = [*SMALL, f"--encoder={exported}", f"--output={output}", *flags]
    command.run(discover.main, DiscoverSettings, given)


@pytest.fixture(scope="module", params=["ncut", "lost", "contrast"])
def done(request, exported, tmp_path_factory):
    output = tmp_path_factory.mktemp("single") / request.param
    start(exported, output, *SCENES, *FLAGS[request.param])
    return output


def test_images_get_boxes_with_scores_and_masks_and_all_is_measured(done):
    images = list(ProposalStore(done / "proposals").images())
    assert len(images) == 10
    for image in images:
        assert 1 <= len(image.boxes) <= (10 if done.name == "contrast" else 3)
        assert len(image.masks) == (0 if done.name == "contrast" else len(image.boxes))
        assert (np.diff(image.scores) <= 0).all()
        for box, counts in zip(image.boxes, image.masks):
            rows, columns = np.nonzero(decode_mask(counts, image.height, image.width))
            found = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
            np.testing.assert_allclose(box * 64, found, atol=1e-3)
    measured = json.loads((done / "metrics.json").read_text())
    assert measured.pop("images") == 10
    assert {done.name, "centre box, half the sides", "all proposals"} < set(measured)
    costs = json.loads((done / "costs.json").read_text())
    assert 0 < costs["seconds_per_image_without_encoder"] < costs["seconds_per_image"]
    assert (done / "boxes.png").stat().st_size > 10_000


def test_what_a_kill_left_undone_is_made_and_the_boxes_are_the_same(done, exported, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(done, again)
    shutil.rmtree(again / "proposals")
    (again / "regions" / "000001.npz").unlink()
    (again / "boxes" / "000001.npz").unlink()
    flags = (again / "flags.txt").read_text().replace(str(done), str(again))
    (again / "flags.txt").write_text(flags)
    kept = (again / "regions" / "000002.npz").stat().st_mtime_ns
    start(exported, again, *SCENES, *FLAGS[done.name], "--workers=2")
    assert (again / "regions" / "000002.npz").stat().st_mtime_ns == kept
    file = "proposals/proposals-00000.tfrecord"
    assert (done / file).read_bytes() == (again / file).read_bytes()


MAPS = {
    "one cell": np.ones([1, 1, 4], np.float32),
    "constant": np.ones([6, 6, 4], np.float32),
    "NaN": np.full([6, 6, 4], np.nan, np.float32),
    "too large": planted(30, 30, [(3, 3, 9, 9)]),
    "good": planted(12, 10, [(3, 3, 8, 7)], noise=0.05),
}


LIMITS = {
    "ncut": ["--max_cells=200", "--objects=1", "--cut_thresholds=0.5"],
    "lost": ["--max_cells=200", "--objects=1", "--lost_seeds=20"],
    "contrast": ["--max_cells=200", "--boxes_per_image=1"],
}


@pytest.mark.parametrize("discoverer", LIMITS)
def test_bad_maps_are_told_in_one_line_each_and_the_rest_goes_on(
    discoverer, tmp_path, monkeypatch, capsys
):
    import tensorflow as tf

    folder = tmp_path / "images"
    folder.mkdir()
    for number, name in enumerate(MAPS):
        # the height tells the encoder whose map is asked for
        image = np.zeros([20 + number, 30, 3], np.uint8)
        tf.io.write_file(str(folder / f"{name}.png"), tf.io.encode_png(image))
    by_height = {20 + number: maps for number, maps in enumerate(MAPS.values())}
    encoder = Encoder(lambda images: [tf.constant(by_height[images.shape[1]][None])], None, ("x",))
    monkeypatch.setattr(run, "open_encoder", lambda features: encoder)
    monkeypatch.setattr("ssl_tf.discovery.feature_maps.open_encoder", lambda features: encoder)
    start(
        "planted", tmp_path / "out", f"--image_folder={folder}", *FLAGS[discoverer],
        *LIMITS[discoverer],
    )  # fmt: skip
    told = capsys.readouterr().err
    for reason, name in (
        ("a map of one cell", "one cell"),
        ("the same features everywhere", "constant"),
        ("features that are no finite numbers", "NaN"),
        ("a map of more than --max_cells", "too large"),
    ):
        assert f"warning: 1 images have {reason} and get no boxes: {name}.png\n" in told
    images = {i.image_id: i for i in ProposalStore(tmp_path / "out" / "proposals").images()}
    assert [name for name, image in images.items() if len(image.boxes)] == ["good.png"]
    # rows 3..8 of 12 and columns 3..7 of 10
    np.testing.assert_allclose(images["good.png"].boxes, [[0.25, 0.3, 8 / 12, 0.7]], atol=0.05)


@pytest.mark.parametrize("rank", ["found", "contrast"])
def test_an_object_without_a_pixel_is_none(rank, monkeypatch):
    """Pixels of a 2x2 image are those of cells 1 and 4, in each direction of a map of 6x6."""
    masks = np.zeros([3, 6, 6], bool)
    masks[0, 0, 0] = masks[1, 1:3, 4] = masks[2, 2:4, 2:4] = True
    monkeypatch.setattr("ssl_tf.discovery.single_image.find_masks", lambda cells, flags: masks)
    flags = f"--dataset=scenes --encoder=x --output=x --discoverer=ncut --object_rank={rank}"
    settings = flagfiles.parse(flags.split(), DiscoverSettings)
    maps = [planted(6, 6, [(1, 4, 3, 5)], noise=0.05)]
    random = np.random.default_rng(0)
    found = single_image.find_objects(maps, 2, 2, settings, random)
    assert found.boxes.tolist() == [[2, 1, 2, 1]] and len(found.masks) == 1
    assert found.masks[0].tolist() == [[False, True], [False, False]]
    masks[1] = False
    found = single_image.find_objects(maps, 2, 2, settings, random)
    assert len(found.boxes) == 0 and found.trouble == "objects smaller than a pixel"


def test_objects_of_all_thresholds_are_ordered_by_contrast():
    maps = [planted(18, 16, [(2, 2, 9, 8), (11, 9, 16, 15)], noise=0.05)]
    given = "--dataset=scenes --encoder=x --output=x --discoverer=ncut --cut_thresholds=0.3,0.5"
    kinds = {}
    for rank in ("found", "contrast"):
        flags = [*given.split(), "--objects=2", f"--object_rank={rank}"]
        settings = flagfiles.parse(flags, DiscoverSettings)
        kinds[rank] = single_image.find_objects(maps, 180, 160, settings, None)
    found, contrast = kinds["found"], kinds["contrast"]
    assert len(found.boxes) == len(found.masks) == 4
    np.testing.assert_array_equal(found.boxes, contrast.boxes)
    np.testing.assert_allclose(found.scores, 1 / np.arange(1, 5))
    boxes = {tuple(box) for box in found.boxes.tolist()}
    assert boxes == {(21, 21, 80, 90), (91, 111, 150, 160)}
    cells = normalized(maps[0], "whiten")
    expected = surround_contrast(cells, contrast.boxes, 180, 160, 2.5)
    np.testing.assert_allclose(contrast.scores, expected, rtol=1e-6)


def test_images_without_a_region_of_the_area_are_told(exported, tmp_path, capsys):
    flags = [*SCENES[:3], *FLAGS["contrast"], "--least_side=0.6"]
    with pytest.raises(SystemExit) as ended:
        start(exported, tmp_path / "out", *flags, "--largest_area=0.3")
    assert ended.value.code == 2 and not (tmp_path / "out").exists()
    assert "--least_side=0.6: a region has 0.36 of the image" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        start(exported, tmp_path / "out", *flags, "--largest_area=0.360001")
    told = capsys.readouterr().err
    assert "10 images have no region of --largest_area=0.360001 or less and get no box" in told
    assert "no image has a box, for the reasons above" in told
    assert not (tmp_path / "out/proposals").exists()


def test_flags_that_a_discoverer_does_not_read_are_refused(exported, tmp_path, capsys):
    for discoverer, flag in (
        ("ncut", "--neighbours=5"),
        ("ncut", "--lost_seeds=9"),
        ("lost", "--cut_weights=soft"),
        ("contrast", "--objects=5"),
    ):
        with pytest.raises(SystemExit) as caught:
            start(exported, tmp_path / "out", *SCENES, f"--discoverer={discoverer}", flag)
        assert caught.value.code == 2
        assert f"--discoverer={discoverer} does not read it" in capsys.readouterr().err
