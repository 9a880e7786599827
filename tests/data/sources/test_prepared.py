"""What `prepare` wrote is read by one flag, without reading it first."""

import hashlib
import json

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.data.batches import evaluation_batches, training_batches
from ssl_tf.data.order import Steps
from ssl_tf.data.prepared_manifest import Manifest, PixelIndex, RecordFile
from ssl_tf.data.sources.opening import open_held_out, open_split
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.settings import DataSettings, KnnSettings, flagfiles
from tests.data.opened import source_of
from tests.data.tiny_images import example, picture, png, write_folder, write_records


def listing(number):
    """What a manifest tells of the originals."""
    return {"count": number, "sha256": "", "sizes": ""}


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
    Manifest("png", 6, classes, found, listing(number), "/images").write(directory)
    return str(directory)


def test_a_split_is_read(tmp_path):
    directory = write(tmp_path, {"train": [3, 2], "validation": [4]})
    source = source_of(prepared=directory)
    assert (source.size, source.num_classes, source.class_names) == (5, 2, ("a", "b"))
    records = list(source.sequence().as_numpy_iterator())
    assert [(r["id"], r["label"], r["image"]) for r in records] == [
        (b"%d.jpg" % n, n % 2, png(n)) for n in range(5)
    ]
    held_out = source_of(prepared=directory, split="validation")
    assert [i.decode() for i in held_out.ids().as_numpy_iterator()] == [
        f"{n}.jpg" for n in range(5, 9)
    ]


def test_without_classes_there_are_no_labels(tmp_path):
    source = source_of(prepared=write(tmp_path, {"train": [2]}, classes=()))
    assert source.num_classes is None
    assert "label" not in source.sequence().element_spec


def test_the_validation_images_are_judged_on_unless_another_split_is_named(tmp_path):
    directory = write(tmp_path, {"train": [3], "validation": [4]})
    data = DataSettings(prepared=directory)
    assert open_held_out(data, "", open_split(data)).size == 4
    with pytest.raises(SettingsError, match="--split=test: .* has train, validation"):
        open_held_out(data, "test", open_split(data))
    flags = ["--checkpoint=RUN", f"--prepared={directory}", "--test_split=validation"]
    assert flagfiles.parse(flags, KnnSettings).evaluation.test_split == "validation"


def write_raw(directory, sizes, classes=("a", "b"), wider=8):
    """Record files of pixels, with their indices, of one split."""
    number, files = 0, []
    for part, size in enumerate(sizes):
        path, records, places, place = directory / f"train-{part}.tfrecord", [], [], 0
        for _ in range(size):
            image = picture(number, 6, wider + number)
            record = example(image__encoded=b"P6 8 6 255 " + image.tobytes())
            offset = place + 12 + record.index(image.tobytes())
            places.append((f"{number}.jpg", number % 2, offset, *image.shape[:2]))
            place, number = place + len(record) + 16, number + 1
            records.append(record)
        write_records(path, records)
        PixelIndex.of(places).write(path)
        files.append(RecordFile(path.name, size, path.stat().st_size))
    Manifest("raw", 6, classes, {"train": files}, listing(number), "/images").write(directory)
    return str(directory)


def test_raw_pixels_are_read_from_their_places(tmp_path):
    source = source_of(prepared=write_raw(tmp_path, [3, 2]))
    assert (source.size, source.num_classes) == (5, 2)
    for number, record in enumerate(source.sequence().as_numpy_iterator()):
        assert (record["id"], record["label"]) == (b"%d.jpg" % number, number % 2)
        np.testing.assert_array_equal(record["image"], picture(number, 6, 8 + number))
    assert [r["label"] for r in source.annotations().as_numpy_iterator()] == [0, 1, 0, 1, 0]
    one_epoch = source.stream(7, 0, 5).as_numpy_iterator()
    assert sorted(record["index"] for record in one_epoch) == list(range(5))
    rest, held_out = source.hold_out(2)
    assert (rest.size, held_out.size) == (3, 2)


def test_an_index_of_another_preparation_is_refused(tmp_path):
    folder = write_raw(tmp_path, [3])
    manifest = json.loads((tmp_path / "prepared.json").read_text())
    index = tmp_path / "train-0.tfrecord.index.npz"
    manifest["splits"]["train"][0]["index"] = hashlib.sha256(index.read_bytes()).hexdigest()
    (tmp_path / "prepared.json").write_text(json.dumps(manifest))
    assert source_of(prepared=folder).size == 3
    PixelIndex.of([(f"{n}.jpg", 0, 50, 6, 8) for n in range(3)]).write(
        tmp_path / "train-0.tfrecord"
    )
    with pytest.raises(UserError, match="index.npz is damaged or of another preparation: restore"):
        source_of(prepared=folder)


def test_pixels_that_were_prepared_anew_are_told_from_those_before(tmp_path):
    def opened(width):
        source = source_of(prepared=write_raw(tmp_path, [3, 2], wider=width))
        return list(source.contents()), list(source.details())

    first, same, wider = map(opened, (8, 8, 9))
    assert first == same and first[0] == wider[0] and first[1] != wider[1]


def test_raw_pixels_train_as_the_same_images_in_png(tmp_path):
    (tmp_path / "raw").mkdir()
    raw = source_of(prepared=write_raw(tmp_path / "raw", [8]))
    files = {f"{n}.png": tf.io.encode_png(picture(n, 6, 8 + n)).numpy() for n in range(8)}
    encoded = source_of(image_folder=write_folder(tmp_path / "png", files))
    made = []
    for source in (raw, encoded):
        batches = training_batches(
            source, lambda image, seed: {"view": image[:6, :8]}, Steps(1, 4, 0, 3)
        )
        made.append([batch["view"] for batch in batches.as_numpy_iterator()])
        made[-1].append(next(evaluation_batches(source, 6, 8).as_numpy_iterator())["image"])
    for one, other in zip(*made, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_raw_file_that_goes_meanwhile_ends_the_run_in_one_line(tmp_path):
    source = source_of(prepared=write_raw(tmp_path, [4]))
    (tmp_path / "train-0.tfrecord").unlink()
    with pytest.raises(UserError, match="0.tfrecord cannot be read any more: No such file") as told:
        list(source.read(source.sequence()))
    assert "\n" not in str(told.value)


def test_a_raw_file_that_is_cut_meanwhile_ends_the_run_in_one_line(tmp_path):
    source = source_of(prepared=write_raw(tmp_path, [4]))
    with (tmp_path / "train-0.tfrecord").open("r+b") as file:
        file.truncate(300)
    with pytest.raises(tf.errors.OpError):
        list(source.sequence())
    with pytest.raises(UserError, match="train-0.tfrecord has become shorter: restore the file"):
        source.unreadable.check()


def test_a_damaged_index_is_told(tmp_path):
    directory = write_raw(tmp_path, [4])
    (tmp_path / "train-0.tfrecord.index.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match="index.npz cannot be read .*: prepare the images again"):
        source_of(prepared=directory)


def test_what_is_no_complete_result_is_told(tmp_path):
    with pytest.raises(UserError, match="has no prepared.json: it is no result of prepare, or not"):
        source_of(prepared=str(tmp_path))
    directory = write(tmp_path, {"train": [3], "validation": [4]})
    file = tmp_path / "train-00000-of-00001.tfrecord"
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    with pytest.raises(UserError, match=f"has {len(content) - 1} bytes, not {len(content)}"):
        source_of(prepared=directory)
    file.unlink()
    with pytest.raises(UserError, match="is gone: restore the file"):
        source_of(prepared=directory)
    manifest = json.loads((tmp_path / "prepared.json").read_text())
    for damage in ({"version": 2}, {"splits": 3}, {"more": 1}, {"splits": {"train": [{"x": 1}]}}):
        (tmp_path / "prepared.json").write_text(json.dumps(manifest | damage))
        with pytest.raises(UserError, match="prepare the images again"):
            source_of(prepared=directory)


def test_a_directory_is_told_from_others_by_its_images(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    one = source_of(prepared=write(tmp_path / "a", {"train": [3]}))
    other = source_of(prepared=write(tmp_path / "b", {"train": [4]}))
    assert list(one.contents()) != list(other.contents())
