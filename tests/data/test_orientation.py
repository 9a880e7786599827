"""EXIF turns: undone with --orient, told without it."""

import dataclasses
import json
import os
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssl_tf.data import orientation
from ssl_tf.data.batches import evaluation_batches, training_batches
from ssl_tf.data.decoding import KnownImages, decode_fast
from ssl_tf.data.order import Steps
from ssl_tf.data.prepared_manifest import REPORT
from ssl_tf.data.proposals.format import ImageProposals, write_proposals
from ssl_tf.data.scenes.shapes import Scenes
from ssl_tf.data.sources.folder import ImageFolder
from ssl_tf.data.sources.opening import open_training_source
from ssl_tf.data.sources.source_checks import warn_of_turns
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import UserError
from ssl_tf.settings import DataSettings, fields, flagfiles
from tests.data.opened import source_of
from tests.data.sources import test_prepared
from tests.data.tiny_images import example, picture, png, write_folder, write_records
from tests.preparation.odd_files import JPEG, SMOOTH, decoded, exif, saved, turned

TURNS = range(1, 9)


def jpeg(turn: int, order: str = ">") -> bytes:
    return saved(SMOOTH, "jpeg", quality=95, exif=exif(turn, order))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("turn", TURNS)
def test_the_orientation_is_read(turn, order):
    assert orientation.of(tf.constant(jpeg(turn, order))).numpy() == turn


@pytest.mark.parametrize(
    "content",
    [JPEG, jpeg(0), jpeg(9), jpeg(6)[:40], b"", b"\xff\xd8Exif\0\0", png(0),
     saved(SMOOTH, "jpeg", exif=exif(6)[:18])],
    ids=["none", "0", "9", "cut", "empty", "bare", "png", "damaged"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_without_an_orientation_it_is_1(content):
    assert orientation.of(tf.constant(content)).numpy() == 1


def behind(*segments: tuple[int, bytes]) -> bytes:
    """A JPEG whose EXIF stands behind other segments."""
    packed = (b"\xff" + struct.pack(">BH", code, 2 + len(held)) + held for code, held in segments)
    return b"\xff\xd8" + b"".join(packed) + jpeg(6)[2:]


@pytest.mark.parametrize(
    "content, turn",
    [
        (behind(*[(0xED, bytes(60_000))] * 3), 6),
        # What stands in another segment, such as a thumbnail's, is not of this image.
        (behind((0xED, jpeg(8)), (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + jpeg(3))), 6),
        (b"\xff\xd8\xff\xff\xff" + behind((0xFE, b"a"))[3:], 6),
        (b"\xff\xd8" + bytes(9) + jpeg(6)[2:], 6),
        (JPEG + jpeg(6), 1),
        (b"\xff\xd8" + b"\xff" * 9, 1),
        (b"\xff\xd8" + bytes(100_000) + jpeg(6)[2:], 1),
        (b"\xff\xd8\xff\xe1\0\0", 1),
    ],
    ids=["far", "others", "filled", "junk", "behind the scan", "fill alone", "damage", "no length"],
)
def test_exif_is_found_in_its_segment_alone(tmp_path, content, turn):
    (tmp_path / "a.jpg").write_bytes(content)
    assert orientation.of(tf.constant(content)).numpy() == turn
    assert orientation.in_file(os.fsencode(tmp_path / "a.jpg")) == turn


@pytest.mark.parametrize("turn", TURNS)
def test_the_orientation_of_a_png_is_read(turn, tmp_path):
    content = saved(SMOOTH, "png", exif=exif(turn))
    (tmp_path / "a.png").write_bytes(content)
    assert orientation.of(tf.constant(content)).numpy() == turn
    assert orientation.in_file(os.fsencode(tmp_path / "a.png")) == turn


@pytest.mark.parametrize("turn", TURNS)
def test_an_image_is_turned_as_pillow_does_it(turn):
    image = picture(turn, 5, 7)
    made = orientation.upright(tf.constant(image), tf.constant(turn, tf.int32))
    np.testing.assert_array_equal(made, turned(image, turn))
    from PIL import ImageOps

    shown = Image.fromarray(image)
    shown.getexif()[0x0112] = turn
    np.testing.assert_array_equal(made, np.asarray(ImageOps.exif_transpose(shown)))


@pytest.fixture
def folder(tmp_path):
    files = {f"{turn}.jpg": jpeg(turn) for turn in TURNS}
    files |= {"9.png": saved(SMOOTH, "png", exif=exif(6))}
    return write_folder(tmp_path / "images", files)


def test_a_folder_is_read_upright_in_every_epoch(folder):
    source = source_of(image_folder=folder, orient=True)
    known = KnownImages()
    for _ in range(2):
        images = source.sequence().map(lambda e: decode_fast(e, UnreadableImages(0), known))
        for turn, record in zip((*TURNS, 6), images.as_numpy_iterator(), strict=True):
            stored = decoded(JPEG) if record["id"] != b"9.png" else np.asarray(SMOOTH)
            expected = turned(stored, turn)
            assert record["image"].shape == expected.shape
            # TensorFlow's decoder and Pillow's upsample colours in their own ways.
            assert np.abs(record["image"].astype(int) - expected).mean() < 2


def test_training_and_evaluation_see_the_same_upright_images(folder):
    source = ImageFolder(folder, orient=True)
    whole = training_batches(
        source, lambda image, seed: {"side": tf.shape(image)[:2]}, Steps(0, 9, 0, 1)
    )
    sides = sorted(map(tuple, next(whole.as_numpy_iterator())["side"].tolist()))
    assert sides == [(24, 32)] * 4 + [(32, 24)] * 5
    images = next(evaluation_batches(source, 24, 9).as_numpy_iterator())["image"]
    for turn in (2, 3, 4):  # these keep the sides, so the square in the middle turns with them
        np.testing.assert_array_equal(images[turn - 1], turned(images[0], turn))


def test_a_folder_with_turns_is_told_without_the_flag(folder, tmp_path, capsys):
    ImageFolder(folder)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: ") and "8 of 9 images that were looked at have an EXIF" in line
    assert "give --orient, or prepare the folder" in line
    ImageFolder(folder, orient=True)
    ImageFolder(write_folder(tmp_path / "upright", {"a.jpg": JPEG, "b.png": png(0)}))
    assert capsys.readouterr().err == ""


def test_a_hundred_spread_images_of_a_large_folder_are_looked_at(tmp_path, capsys, monkeypatch):
    write_folder(tmp_path, {f"{n:03}.jpg": b"" for n in range(250)})
    looked = []
    monkeypatch.setattr(orientation, "in_file", lambda path: looked.append(path) or 6)
    ImageFolder(str(tmp_path))
    assert len(looked) == 84 and looked[-1].endswith(b"249.jpg")
    assert "84 of 84" in capsys.readouterr().err


def test_a_folder_that_is_not_turned_as_the_encoder_learned_is_told(folder, tmp_path, capsys):
    upright = write_folder(tmp_path / "upright", {"a.jpg": JPEG})
    capsys.readouterr()
    warn_of_turns(ImageFolder(upright), others_are_upright=False)
    warn_of_turns(ImageFolder(folder, orient=True), others_are_upright=True)
    assert capsys.readouterr().err == ""
    # Also where no image of the sample is turned.
    warn_of_turns(ImageFolder(upright), others_are_upright=True)
    (line,) = capsys.readouterr().err.splitlines()
    assert "the encoder learned from images that were turned upright" in line
    assert line.endswith("give --orient")


def test_record_files_with_turns_are_told_beside_upright_images(tmp_path, capsys):
    records = [example(image__encoded=content) for content in (JPEG, jpeg(1), jpeg(6))]
    path = write_records(tmp_path / "a", records)
    source = source_of(tfrecord=path)
    capsys.readouterr()
    warn_of_turns(source, others_are_upright=False)
    warn_of_turns(Scenes("train", 8, 32), others_are_upright=True)
    assert capsys.readouterr().err == ""
    warn_of_turns(source, others_are_upright=True)
    (line,) = capsys.readouterr().err.splitlines()
    assert "1 of the first 3 of these, which EXIF turns, are taken as they are stored" in line


def with_store(path, ids, made_of: DataSettings, here: DataSettings, **other) -> DataSettings:
    """Settings with a store of boxes that `discover` would make of the images of others."""
    images = [ImageProposals(name, [[0, 0, 0.5, 1]]) for name in ids]
    told = {**fields.as_dict(made_of), **other}
    told = {name: value for name, value in told.items() if value is not None}
    write_proposals(path, images, generator="test", settings=told)
    return dataclasses.replace(here, proposals=str(path))


@pytest.mark.parametrize("there", [True, False])
def test_boxes_of_images_that_were_turned_otherwise_are_refused(folder, tmp_path, there):
    made_of, here = (DataSettings(image_folder=folder, orient=o) for o in (there, not there))
    data = with_store(tmp_path / "s", ["6.jpg"], made_of, here)
    told = ("upright, as EXIF says, .* as they are stored", "as they are stored, .* upright, as EX")
    with pytest.raises(
        UserError, match=f"boxes of images .*{told[not there]}.*--orient={str(there).lower()}$"
    ):
        open_training_source(data, boxes=True)
    open_training_source(dataclasses.replace(data, orient=there), boxes=True)
    # A store of an older version, or one that was imported, tells nothing.
    data = with_store(tmp_path / "old", ["6.jpg"], made_of, here, orient=None)
    open_training_source(data, boxes=True)


def test_boxes_are_taken_where_no_image_is_turned(tmp_path):
    """Runs that began with such boxes go on."""
    folder = write_folder(tmp_path / "upright", {"a.jpg": JPEG, "b.png": png(0)})
    made_of, here = (DataSettings(image_folder=folder, orient=o) for o in (False, True))
    open_training_source(with_store(tmp_path / "s", ["a.jpg"], made_of, here), boxes=True)


@pytest.mark.parametrize("report, refused", [(2, True), (0, False), (None, True)])
def test_boxes_of_a_folder_beside_prepared_images(tmp_path, report, refused):
    (tmp_path / "p").mkdir()
    here = DataSettings(prepared=test_prepared.write(tmp_path / "p", {"train": [3]}))
    if report is not None:
        (tmp_path / "p" / REPORT).write_text(json.dumps({"special": {"turned": report}}))
    as_seen, as_stored = (DataSettings(image_folder="x", orient=o) for o in (True, False))
    open_training_source(with_store(tmp_path / "s", ["1.jpg"], as_seen, here), boxes=True)
    data = with_store(tmp_path / "t", ["1.jpg"], as_stored, here)
    if refused:
        with pytest.raises(UserError, match="as they are stored, and here .*proposals of these$"):
            open_training_source(data, boxes=True)
    else:
        open_training_source(data, boxes=True)


def test_only_folders_are_turned():
    with pytest.raises(Exception, match="--orient=true: has no effect, because only --image_fold"):
        flagfiles.parse(["--dataset=cifar10", "--orient"], DataSettings)
