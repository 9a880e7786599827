import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from ssl_tf.data.sources.memory import in_memory
from ssl_tf.data.sources.opening import open_source
from ssl_tf.errors import UserError
from ssl_tf.training.data_record import digest_data, keep_data
from ssl_tf.training.resumption import training_directory
from tests.data.tiny_images import example, png, write_records


def folder(path, names):
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path / name)
    return open_source(image_folder=str(path))


def test_images_that_are_added_renamed_or_lost_are_named(tmp_path):
    data, run = tmp_path / "data", tmp_path / "run"
    run.mkdir()
    source = folder(data, ["a/1.png", "a/2.png", "b/3.png"])
    keep_data(run, {"training": source})
    keep_data(run, {"training": source})
    (data / "b/3.png").rename(data / "b/4.png")
    with pytest.raises(UserError, match="training images .*last b/3.png there, b/4.png here"):
        keep_data(run, {"training": open_source(image_folder=str(data))})
    (data / "b/4.png").rename(data / "b/3.png")
    keep_data(run, {"training": open_source(image_folder=str(data))})
    with pytest.raises(UserError, match=r"\(count 3 there, 4 here; sha256 ") as told:
        keep_data(run, {"training": folder(data, ["a/11.png"])})
    assert "remove that file to go on" in str(told.value) and "\n" not in str(told.value)
    (run / "data.json").unlink()
    keep_data(run, {"training": open_source(image_folder=str(data))})


def test_a_held_out_part_and_its_rest_have_their_own_digests(tmp_path):
    source = folder(tmp_path / "data", [f"a/{n}.png" for n in range(6)])
    rest, held_out = source.hold_out(2)
    digests = [digest_data(each) for each in (source, rest, held_out)]
    assert [digest.count for digest in digests] == [6, 4, 2]
    assert len({digest.sha256 for digest in digests}) == 3
    assert digests[0] == digest_data(open_source(image_folder=str(tmp_path / "data")))


def test_a_training_goes_on_with_its_images_only(tmp_path):
    source = open_source(dataset="scenes", scenes=12, scene_size=8)
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
    replaced = open_source(image_folder=str(data))
    with pytest.raises(UserError, match=r"training images .*first start \(files or annotations"):
        keep_data(run, {"training": replaced})
    with pytest.raises(UserError, match="; put the data back, or give a new --output"):
        keep_data(run, {"training": replaced}, "give a new --output")
    # A file of the same size is taken for the same, whatever its time: a copy has another.
    keep_data(run, {"training": folder(data, ["a/1.png", "a/2.png"])})
    (data / "b").mkdir()
    with pytest.raises(UserError, match="classes 1 there, 2 here; files or annotations"):
        keep_data(run, {"training": open_source(image_folder=str(data))})


def test_a_record_of_an_earlier_version_goes_on_and_gets_what_it_lacks(tmp_path):
    data, run = tmp_path / "data", tmp_path / "run"
    run.mkdir()
    source = folder(data, ["a/1.png", "b/2.png"])
    earlier = {
        "count": 2,
        "first": "a/1.png",
        "last": "b/2.png",
        "sha256": hashlib.sha256(b"7:a/1.png7:b/2.png").hexdigest(),
    }
    (run / "data.json").write_text(json.dumps({"training": earlier}))
    keep_data(run, {"training": source})
    kept = json.loads((run / "data.json").read_text())["training"]
    assert {key: kept[key] for key in earlier} == earlier and kept["classes"] == 2
    (data / "b/2.png").write_bytes(png(0))
    with pytest.raises(UserError, match="files or annotations"):
        keep_data(run, {"training": open_source(image_folder=str(data))})


def details(source):
    return list(source.details())


def test_a_source_tells_what_its_names_do_not(tmp_path):
    small, large = (open_source(dataset="scenes", scenes=4, scene_size=s) for s in (16, 20))
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
        return open_source(tfrecord=write_records(tmp_path / "x.tfrecord", images))

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


@pytest.mark.parametrize("content", ["", "[]", '{"training": 3}', '{"training": {"count": 1}}'])
def test_a_damaged_record_is_one_line_with_its_remedy(tmp_path, content):
    source = folder(tmp_path / "data", ["a/1.png"])
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(UserError, match="data.json.*; put the data back, or remove that file"):
        keep_data(tmp_path, {"training": source})
