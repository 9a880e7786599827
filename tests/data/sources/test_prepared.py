"""What `prepare` wrote is read by one flag, without reading it first."""

import json

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.data import raw_pixels
from ssl_tf.data.batches import evaluation_batches, training_batches
from ssl_tf.data.decoding import decode, pixels
from ssl_tf.data.order import Steps
from ssl_tf.data.prepared_manifest import Manifest, RecordFile
from ssl_tf.data.sources.opening import common_images, open_held_out, open_source, open_split
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.settings import DataSettings, KnnSettings, flagfiles
from tests.data.tiny_images import example, picture, png, write_records


def write(directory, splits, classes=("a", "b"), encode=png):
    """Two record files a split; images are numbered on."""
    number, found = 0, {}
    for split, sizes in splits.items():
        found[split] = []
        for part, size in enumerate(sizes):
            name = f"{split}-{part:05d}-of-{len(sizes):05d}.tfrecord"
            records = []
            for _ in range(size):
                label = {"image__class__label": number % 2} if classes else {}
                records.append(
                    example(image__encoded=encode(number), image__id=b"%d.jpg" % number, **label)
                )
                number += 1
            write_records(directory / name, records)
            found[split].append(RecordFile(name, size, (directory / name).stat().st_size))
    Manifest("png", 6, classes, found, {"count": number, "sha256": ""}).write(directory)
    return str(directory)


def test_a_split_is_read(tmp_path):
    directory = write(tmp_path, {"train": [3, 2], "validation": [4]})
    source = open_source(prepared=directory)
    assert (source.size, source.num_classes, source.class_names) == (5, 2, ("a", "b"))
    records = list(source.sequence().as_numpy_iterator())
    assert [(r["id"], r["label"], r["image"]) for r in records] == [
        (b"%d.jpg" % n, n % 2, png(n)) for n in range(5)
    ]
    held_out = open_source(prepared=directory, split="validation")
    assert [i.decode() for i in held_out.ids().as_numpy_iterator()] == [
        f"{n}.jpg" for n in range(5, 9)
    ]
    assert common_images(source, held_out) == 0 and common_images(source, source) == 5


def test_without_classes_there_are_no_labels(tmp_path):
    source = open_source(prepared=write(tmp_path, {"train": [2]}, classes=()))
    assert source.num_classes is None
    assert "label" not in source.sequence().element_spec


def test_the_validation_images_are_judged_on_unless_another_split_is_named(tmp_path):
    directory = write(tmp_path, {"train": [3], "validation": [4]})
    data = DataSettings(prepared=directory)
    assert open_held_out(data, "", open_split(data, "train")).size == 4
    with pytest.raises(SettingsError, match="--split=test: .* has train, validation"):
        open_held_out(data, "test", open_split(data, "train"))
    flags = ["--checkpoint=RUN", f"--prepared={directory}", "--test_split=validation"]
    assert flagfiles.parse(flags, KnnSettings).evaluation.test_split == "validation"


def test_raw_pixels_train_as_the_same_images_in_png(tmp_path):
    (tmp_path / "png").mkdir(), (tmp_path / "raw").mkdir()
    raw = write(
        tmp_path / "raw", {"train": [8]}, encode=lambda n: raw_pixels.encode(picture(n, 6, 8))
    )
    sources = [
        open_source(prepared=path) for path in (write(tmp_path / "png", {"train": [8]}), raw)
    ]
    made = []
    for source in sources:
        batches = training_batches(
            source, lambda image, seed: {"view": tf.reshape(image, [6, 8, 3])}, Steps(1, 4, 0, 3)
        )
        made.append([batch["view"] for batch in batches.as_numpy_iterator()])
        seen = next(evaluation_batches(source, 6, 8).as_numpy_iterator())["image"]
        made[-1].append(seen)
    for one, other in zip(*made, strict=True):
        np.testing.assert_array_equal(one, other)


def test_raw_pixels_are_ppm_to_others():
    import io

    from PIL import Image

    image = picture(1, 5, 300)
    encoded = raw_pixels.encode(image)
    assert len(encoded) == raw_pixels.HEADER_BYTES + image.size
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encoded))), image)
    np.testing.assert_array_equal(pixels(tf.constant(encoded)), image)
    with pytest.raises(ValueError, match="too large"):
        raw_pixels.encode(np.zeros([1, 100_000, 3], np.uint8))


@pytest.mark.parametrize(
    "content",
    [b"P6\n#ssl_tf", raw_pixels.encode(picture(0))[:90], raw_pixels.encode(picture(0)) + b"x",
     raw_pixels.encode(picture(0)).replace(b"00008 00006", b"x0008 00006")],
    ids=["start", "cut", "longer", "no number"],
)  # fmt: skip
def test_damaged_raw_pixels_are_unreadable(content, capfd):
    unreadable = UnreadableImages(1)
    record = decode({"id": tf.constant("a"), "image": tf.constant(content)}, unreadable)
    assert not record["readable"] and unreadable.count == 1


def test_what_is_no_complete_result_is_told(tmp_path):
    with pytest.raises(UserError, match="has no prepared.json: it is no result of prepare, or not"):
        open_source(prepared=str(tmp_path))
    directory = write(tmp_path, {"train": [3], "validation": [4]})
    file = tmp_path / "train-00000-of-00001.tfrecord"
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    with pytest.raises(UserError, match=f"has {len(content) - 1} bytes, not {len(content)}"):
        open_source(prepared=directory)
    file.unlink()
    with pytest.raises(UserError, match="is gone: restore the file"):
        open_source(prepared=directory)
    manifest = json.loads((tmp_path / "prepared.json").read_text())
    for damage in ({"version": 2}, {"splits": 3}, {"more": 1}, {"splits": {"train": [{"x": 1}]}}):
        (tmp_path / "prepared.json").write_text(json.dumps(manifest | damage))
        with pytest.raises(UserError, match="prepare the images again"):
            open_source(prepared=directory)


def test_a_directory_is_told_from_others_by_its_images(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    one = open_source(prepared=write(tmp_path / "a", {"train": [3]}))
    other = open_source(prepared=write(tmp_path / "b", {"train": [4]}))
    assert list(one.contents()) != list(other.contents())
