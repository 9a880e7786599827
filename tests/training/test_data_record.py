import hashlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ssl_tf.data.prepared_manifest import Manifest, PixelIndex, RecordFile
from ssl_tf.data.sources.memory import in_memory
from ssl_tf.errors import UserError
from ssl_tf.training.data_record import digest_data, keep_data
from ssl_tf.training.resumption import training_directory
from tests.data.annotations.annotated_files import prepare_tfds
from tests.data.opened import source_of
from tests.data.tiny_images import example, picture, png, write_records

LABELS = (0, 1, 0, 1)
LISTING = {"count": 4, "sha256": "a", "sizes": "b"}


def folder(path, names):
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path / name)
    return source_of(image_folder=str(path))


def test_images_that_are_added_renamed_or_lost_are_named(tmp_path):
    data, run = tmp_path / "data", tmp_path / "run"
    run.mkdir()
    source = folder(data, ["a/1.png", "a/2.png", "b/3.png"])
    keep_data(run, {"training": source})
    keep_data(run, {"training": source})
    (data / "b/3.png").rename(data / "b/4.png")
    with pytest.raises(UserError, match="training images .*last b/3.png there, b/4.png here"):
        keep_data(run, {"training": source_of(image_folder=str(data))})
    (data / "b/4.png").rename(data / "b/3.png")
    keep_data(run, {"training": source_of(image_folder=str(data))})
    with pytest.raises(UserError, match=r"\(count 3 there, 4 here; sha256 ") as told:
        keep_data(run, {"training": folder(data, ["a/11.png"])})
    assert "remove that file to go on" in str(told.value) and "\n" not in str(told.value)
    (run / "data.json").unlink()
    keep_data(run, {"training": source_of(image_folder=str(data))})


def test_a_held_out_part_and_its_rest_have_their_own_digests(tmp_path):
    source = folder(tmp_path / "data", [f"a/{n}.png" for n in range(6)])
    rest, held_out = source.hold_out(2)
    digests = [digest_data(each) for each in (source, rest, held_out)]
    assert [digest.count for digest in digests] == [6, 4, 2]
    assert len({digest.sha256 for digest in digests}) == 3
    assert digests[0] == digest_data(source_of(image_folder=str(tmp_path / "data")))


def test_a_training_goes_on_with_its_images_only(tmp_path):
    source = source_of(dataset="scenes", scenes=12, scene_size=8)
    with training_directory(tmp_path / "trained", {}, {"train": source}):
        pass
    with pytest.raises(UserError, match="train images .*count 12 there, 11 here"):
        with training_directory(tmp_path / "trained", {}, {"train": source.hold_out(1)[0]}):
            pass


def test_files_that_were_replaced_under_their_names_are_told(tmp_path):
    data, run = tmp_path / "data", tmp_path / "run"
    run.mkdir()
    keep_data(run, {"training": folder(data, ["a/1.png", "a/2.png"])})
    (data / "a/2.png").write_bytes(png(0))
    replaced = source_of(image_folder=str(data))
    with pytest.raises(UserError, match=r"training images .*first start \(files or annotations"):
        keep_data(run, {"training": replaced})
    with pytest.raises(UserError, match="; put the data back, or give a new --output"):
        keep_data(run, {"training": replaced}, "give a new --output")
    # A file of the same size is taken for the same, whatever its time: a copy has another.
    keep_data(run, {"training": folder(data, ["a/1.png", "a/2.png"])})
    (data / "b").mkdir()
    with pytest.raises(UserError, match="classes 1 there, 2 here; files or annotations"):
        keep_data(run, {"training": source_of(image_folder=str(data))})


def test_the_record_has_digests_of_texts_with_their_lengths(tmp_path):
    source = folder(tmp_path / "data", ["a/1.png", "b/2.png"])
    keep_data(tmp_path, {"training": source})
    size = b"%d" % (tmp_path / "data/a/1.png").stat().st_size
    details = b"1:21:a1:b" + 2 * (b"%d:%s" % (len(size), size))
    record = {
        "count": 2,
        "first": "a/1.png",
        "last": "b/2.png",
        "sha256": hashlib.sha256(b"7:a/1.png7:b/2.png").hexdigest(),
        "classes": 2,
        "details": hashlib.sha256(details).hexdigest(),
    }
    assert json.loads((tmp_path / "data.json").read_text()) == {"training": record}


def details(source):
    return list(source.details())


def test_a_source_tells_what_its_names_do_not(tmp_path):
    small, large = (source_of(dataset="scenes", scenes=4, scene_size=s) for s in (16, 20))
    assert list(small.contents()) == list(large.contents())
    assert details(small) != details(large)
    # A part has the details of its rows, in their order.
    rest, held_out = small.hold_out(1)
    assert sorted(details(rest) + details(held_out)) == sorted(details(small))

    def records(*labels):
        images = [
            example(image__encoded=png(0), image__class__label=label, image__id=b"%d" % row)
            for row, label in enumerate(labels)
        ]
        return source_of(tfrecord=write_records(tmp_path / "x.tfrecord", images))

    # Another label, or another order, leaves the size of the file as it was.
    run = tmp_path / "run"
    run.mkdir()
    keep_data(run, {"training": records(0, 1, 2)})
    keep_data(run, {"training": records(0, 1, 2)})
    for labels in ((0, 2, 1), (2, 1, 0)):
        with pytest.raises(UserError, match=r"first start \(files or annotations "):
            keep_data(run, {"training": records(*labels)})

    # Of a part in memory files are not known any more.
    first, same, other = (
        details(in_memory(records(*labels).part(np.array([True, True, False]), "part")))
        for labels in ((0, 1, 2), (0, 1, 2), (1, 0, 2))
    )
    assert first == same != other


def of_tfds(directory, labels=LABELS, side=0.5):
    """A data set of TFDS; `side` is that of the boxes."""
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=["a", "b"]),
            "objects": tfds.features.Sequence({"bbox": tfds.features.BBoxFeature()}),
        }
    )
    objects = [{"bbox": tfds.features.BBox(0.0, 0.0, side, 0.5)}]
    rows = [
        features.encode_example({"image": picture(row), "label": label, "objects": objects})
        for row, label in enumerate(labels)
    ]
    prepare_tfds(directory, "mine", features, {"train": rows})


def of_prepare(directory, labels=LABELS, listing=LISTING, first=0, encoding="png"):
    """Prepared images, of which `first` is the number of the first picture."""
    directory.mkdir()
    path, records, places, begin = directory / "train.tfrecord", [], [], 0
    for number, label in enumerate(labels, first):
        raw = picture(number).tobytes()
        image = raw if encoding == "raw" else png(number)
        fields = {"image__encoded": image, "image__id": b"%d" % (number - first)}
        records.append(example(**fields, **{"image__class__label": label}))
        place = begin + 12 + records[-1].index(image)
        places.append((f"{number - first}", label, place, 6, 8))
        begin += len(records[-1]) + 16
    write_records(path, records)
    if encoding == "raw":
        PixelIndex.of(places).write(path)
    files = [RecordFile(path.name, len(records), path.stat().st_size)]
    Manifest(encoding, 6, ("a", "b"), {"train": files}, listing, "/images").write(directory)


def of_prepare_raw(directory, labels=LABELS, listing=LISTING, first=0):
    of_prepare(directory, labels, listing, first, "raw")


def in_records(directory):
    if (directory / "mine").is_dir():
        return source_of(dataset="mine", data_dir=str(directory))
    return source_of(prepared=str(directory))


@pytest.mark.parametrize(
    "write, change",
    [
        (of_tfds, {"labels": (0, 1, 1, 1)}),
        (of_tfds, {"side": 0.25}),
        (of_prepare, {"labels": (0, 1, 1, 1)}),
        (of_prepare, {"listing": LISTING | {"sizes": "c"}}),
        (of_prepare_raw, {"labels": (0, 1, 1, 1)}),
        (of_prepare_raw, {"listing": LISTING | {"sizes": "c"}}),
        (of_prepare_raw, {"first": 1}),
    ],
)
def test_record_files_that_were_made_anew_are_told_where_their_sizes_are_equal(
    tmp_path, write, change
):
    data, run = tmp_path / "data", tmp_path / "run"
    run.mkdir()
    write(data)
    first = in_records(data)
    contents, digest = list(first.contents()), digest_data(first)
    part = digest_data(first.hold_out(1)[0])
    keep_data(run, {"training": first})
    shutil.copytree(data, tmp_path / "copy")
    copied = in_records(tmp_path / "copy")
    assert digest_data(copied) == digest
    keep_data(run, {"training": copied})
    shutil.rmtree(data)
    write(data, **change)
    anew = in_records(data)
    assert list(anew.contents()) == contents
    with pytest.raises(UserError, match=r"first start \(files or annotations "):
        keep_data(run, {"training": anew})
    # Of a part the files are those of the whole.
    assert digest_data(anew.hold_out(1)[0]).details != part.details


@pytest.mark.parametrize("content", ["", "[]", '{"training": 3}', '{"training": {"count": 1}}'])
def test_a_damaged_record_is_one_line_with_its_remedy(tmp_path, content):
    source = folder(tmp_path / "data", ["a/1.png"])
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(UserError, match="data.json.*; put the data back, or remove that file"):
        keep_data(tmp_path, {"training": source})
