import os

import numpy as np
import pytest

from ssl_tf.data.labels import read_annotations
from ssl_tf.data.sources.opening import open_split
from ssl_tf.data.sources.tfrecord import ExampleFiles
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.settings import DataSettings, flagfiles
from tests.data.opened import source_of
from tests.data.tiny_images import example, png, write_records


def test_all_fields(tmp_path):
    corners = {"ymin": [0.0, 0.5], "xmin": [0.1, 0.6], "ymax": [0.2, 0.7], "xmax": [0.3, 0.8]}
    boxes = {f"image__object__bbox__{side}": values for side, values in corners.items()}
    write_records(
        tmp_path / "a",
        [
            example(image__encoded=b"x", image__class__label=4, image__filename=b"x.jpg", **boxes),
            example(image__encoded=b"y", image__class__label=2),
        ],
    )
    write_records(tmp_path / "b", [example(image__encoded=b"z", image__class__label=0)])
    source = source_of(tfrecord=str(tmp_path / "*"))
    assert (source.size, source.num_classes, source.class_names) == (3, 5, ())
    first, second, third = source.sequence().as_numpy_iterator()
    assert (first["id"], first["image"], first["label"]) == (b"x.jpg", b"x", 4)
    np.testing.assert_array_equal(
        first["boxes"], np.array([[0, 0.1, 0.2, 0.3], [0.5, 0.6, 0.7, 0.8]], np.float32)
    )
    assert second["id"] == b"a__1" and second["boxes"].shape == (0, 4)
    assert third["id"] == b"b__0" and third["label"] == 0


def test_what_is_lacking_is_absent(tmp_path):
    write_records(tmp_path / "a", [example(image=png(0))])
    source = ExampleFiles(str(tmp_path / "a"), 1)
    record = next(source.sequence().as_numpy_iterator())
    assert sorted(record) == ["id", "image", "index", "row"]
    assert source.num_classes is None


def test_a_record_without_its_image_is_an_unreadable_image(tmp_path):
    write_records(tmp_path / "a", [example(image=png(0), id=b"0"), example(id=b"1")])
    records = list(ExampleFiles(str(tmp_path / "a"), 1).sequence().as_numpy_iterator())
    assert [record["image"] for record in records] == [png(0), b""]


@pytest.mark.parametrize("kept, record", [(-3, 4), (300, 1), (5, 0)])
def test_a_truncated_file_names_file_and_record(tmp_path, kept, record):
    write_records(tmp_path / "a", [example(image=png(0))] * 5)
    path = write_records(tmp_path / "b", [example(image=png(i), label=1) for i in range(5)])
    content = (tmp_path / "b").read_bytes()
    (tmp_path / "b").write_bytes(content[:kept])
    with pytest.raises(UserError) as caught:
        ExampleFiles(str(tmp_path / "*"), 1)
    assert str(caught.value).startswith(f"{path} is damaged or truncated at record {record} ")


def test_damage_after_opening_is_found_by_verify(tmp_path):
    write_records(tmp_path / "a", [example(image=png(i)) for i in range(5)])
    source = ExampleFiles(str(tmp_path / "a"), 1)
    source.verify()
    write_records(tmp_path / "a", [example(image=png(i)) for i in range(3)])
    with pytest.raises(UserError, match="a ends after 3 records where .* needs 5"):
        source.verify()


SIDES = ("ymin", "xmin", "ymax", "xmax")


@pytest.mark.parametrize(
    "records, message",
    [
        (
            [example(picture=b"x", size=3)],
            "no encoded image under image/encoded or image; its keys are picture, size",
        ),
        ([b"nonsense"], "record 0 of .* is no tf.train.Example"),
        (
            [example(image=b"x", label=1), example(image=b"y")],
            "record 1 of .* has 0 values under label",
        ),
        (
            [example(image=b"x", label=1), example(image=b"y", label=[1, 2])],
            "record 1 of .* has 2 values under label",
        ),
        ([example(image=b"x", label=-1)], "label -1 under label: labels count from 0"),
        (
            [example(image=b"x", label=10**8)] * 10,
            "label goes up to 100000000 in 10 records, .* renumber the labels",
        ),
        ([example(image=b"x", label=2**62)], "label goes up to 4611686018427387904 in 1 records"),
        ([example(image=b"x"), b"\xff" * 40], "record 1 of .* is no tf.train.Example"),
        ([example(image=b"x", label=0), b"\xff" * 40], "record 1 of .* is no tf.train.Example"),
        ([example(image=b"x"), example(image=3)], "record 1 .*: image is int64_list, not bytes_li"),
        (
            [example(image=b"x"), example(image=[b"x", b"y"])],
            "record 1 .* has 2 values under image",
        ),
        (
            [example(image=b"x", id=b"1"), example(image=b"y", id=1.5)],
            "record 1 of .*: id is float_list, not bytes_list; give all records the same fields",
        ),
        (
            [example(image=b"x", label=0), example(image=b"y", label=b"dog")],
            "record 1 of .*: label is bytes_list, not int64_list",
        ),
        (
            [example(image=b"x", **{f"image__object__bbox__{s}": 1 for s in SIDES})],
            "record 0 of .*ymin is int64_list, not float_list",
        ),
        (
            [
                example(
                    image=b"x",
                    **{f"image__object__bbox__{s}": [0.5] * (1 + (s == "xmax")) for s in SIDES},
                )
            ],
            "record 0 of .* has 1, 1, 1, 2 values under .*: give each box its four sides",
        ),
        (
            [example(image=b"x"), *[example(image=b"y", label=1)] * 3],
            "3 of 4 records have a label under label, and the first has none",
        ),
        (
            [example(image=b"x"), example(image=b"y", image__filename=[b"1", b"2"])],
            "record 1 of .* has 2 values under image/filename: give one",
        ),
        (
            [example(image=b"x"), example(image=b"y", image__object__bbox__ymin=0.5)],
            "record 1 of .* has 1, 0, 0, 0 values under .*: give each box its four sides",
        ),
        ([], "1 files hold no record"),
    ],
)
def test_bad_files(tmp_path, records, message):
    write_records(tmp_path / "a", records)
    with pytest.raises(UserError, match=message) as caught:
        ExampleFiles(str(tmp_path / "a"), 1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("first", [True, False])
def test_ids_and_boxes_of_some_records_are_taken_and_ids_told(tmp_path, capsys, first):
    side_values = {f"image__object__bbox__{s}": v for s, v in zip(SIDES, (0.25, 0.0, 0.5, 1.0))}
    full = example(image=b"x", image__filename=b"x.jpg", **side_values)
    bare = example(image=b"y")
    write_records(tmp_path / "a", [full, bare] if first else [bare, full])
    write_records(tmp_path / "b", [bare])
    source = ExampleFiles(str(tmp_path / "*"), 1)
    records = list(source.sequence().as_numpy_iterator())
    ids = [b"x.jpg", b"a__1", b"b__0"] if first else [b"a__0", b"x.jpg", b"b__0"]
    assert [record["id"] for record in records] == ids
    for record in records:
        expected = [[0.25, 0, 0.5, 1]] if record["id"] == b"x.jpg" else np.zeros([0, 4])
        np.testing.assert_array_equal(record["boxes"], expected)
    assert capsys.readouterr().err == (
        f"warning: --tfrecord={tmp_path}/*: 1 of 3 records have an id under image/filename; that "
        "of the others is their place in their file\n"
    )


def with_boxes(count, **fields):
    """An example with boxes whose top is 0, 1/8, 2/8, ..."""
    sides = {"ymin": 0, "xmin": 0, "ymax": 0.5, "xmax": 0.5}
    boxes = {
        f"image__object__bbox__{side}": [first + n / 8 for n in range(count)]
        for side, first in sides.items()
    }
    return example(image=b"x", **boxes, **fields)


@pytest.mark.parametrize("bare_first", [True, False])
def test_boxes_of_crowds_are_left_out_and_told(tmp_path, capsys, bare_first):
    """Marks as the converters of COCO and OpenImages write them; not every record has some."""
    coco = with_boxes(3, image__object__is_crowd=[0, 1, 0])
    both = with_boxes(3, image__object__is_crowd=[0, 0, 1], image__object__group_of=[1, 0, 0])
    bare = with_boxes(2)
    records = [bare, coco, both] if bare_first else [coco, both, bare]
    write_records(tmp_path / "a", records)
    source = source_of(tfrecord=str(tmp_path / "a"))
    tops = [
        (8 * record["boxes"][:, 0]).tolist() for record in source.sequence().as_numpy_iterator()
    ]
    assert tops == ([[0, 1], [0, 2], [1]] if bare_first else [[0, 2], [1], [0, 1]])
    told = "boxes around several objects (image/object/is_crowd, image/object/group_of) are left"
    assert told in capsys.readouterr().err


def test_marks_without_a_crowd_or_without_boxes_change_nothing(tmp_path, capsys):
    none = with_boxes(2, image__object__is_crowd=[0, 0])
    boxless = example(image=b"x", image__object__is_crowd=[0, 1])
    write_records(tmp_path / "a", [none, with_boxes(1)])
    write_records(tmp_path / "b", [boxless])
    write_records(tmp_path / "c", [boxless, with_boxes(1)])
    for name, counts in (("a", [2, 1]), ("b", [None]), ("c", [0, 1])):
        source = source_of(tfrecord=str(tmp_path / name))
        boxes = [record.get("boxes") for record in source.sequence().as_numpy_iterator()]
        assert [None if x is None else len(x) for x in boxes] == counts
        assert ("left out" in capsys.readouterr().err) == (name != "a")


def test_marks_of_crowds_must_be_as_many_as_boxes_and_numbers(tmp_path, capsys):
    write_records(tmp_path / "a", [with_boxes(3, image__object__is_crowd=[0, 1])])
    with pytest.raises(UserError, match="2 values under image/object/is_crowd and 3 boxes: give"):
        source_of(tfrecord=str(tmp_path / "a"))
    write_records(tmp_path / "b", [with_boxes(1, image__object__is_crowd=b"no")])
    source_of(tfrecord=str(tmp_path / "b"))
    assert "image/object/is_crowd (bytes_list) of" in capsys.readouterr().err
    one_of_two = with_boxes(1, image__object__is_crowd=b"no", image__object__group_of=[0])
    write_records(tmp_path / "c", [one_of_two])
    source_of(tfrecord=str(tmp_path / "c"))
    assert "image/object/is_crowd (bytes_list) of" in capsys.readouterr().err


@pytest.mark.parametrize("label, kind", [(b"dog", "bytes_list"), (1.0, "float_list")])
def test_labels_of_another_type_count_as_none_and_are_told(tmp_path, label, kind, capsys):
    write_records(tmp_path / "a", [example(image=png(0), image__class__label=label)])
    source = ExampleFiles(str(tmp_path / "a"), 1)
    assert source.num_classes is None
    told = capsys.readouterr().err
    assert f"image/class/label ({kind}) of" in told and "count as unlabelled" in told
    assert "image/id" not in told


@pytest.mark.parametrize("value, kind", [(7, "int64_list"), (1.0, "float_list")])
def test_ids_of_another_type_are_replaced_and_told(tmp_path, value, kind, capsys):
    write_records(tmp_path / "a", [example(image=png(0), image__id=value)])
    source = ExampleFiles(str(tmp_path / "a"), 1)
    assert [record["id"] for record in source.sequence().as_numpy_iterator()] == [b"a__0"]
    told = capsys.readouterr().err
    assert f"image/id ({kind}) of" in told and "write ids as text in a bytes_list" in told


def test_labels_from_1(tmp_path, capsys):
    write_records(tmp_path / "a", [example(image=png(i), label=1 + i % 3) for i in range(6)])
    glob = str(tmp_path / "a")
    assert ExampleFiles(glob, 1).num_classes == 4
    assert "label goes from 1 to 3, so class 0 has no image" in capsys.readouterr().err
    data = flagfiles.parse([f"--tfrecord={glob}", "--first_label=1"], DataSettings)
    source = open_split(data)
    assert source.num_classes == 3 and capsys.readouterr().err == ""
    assert read_annotations(source)[1].tolist() == [0, 1, 2, 0, 1, 2]
    write_records(tmp_path / "b", [example(image=png(0), label=0)])
    with pytest.raises(SettingsError, match="--first_label=1: .* has the label 0 under label"):
        ExampleFiles(str(tmp_path / "*"), 1, first_label=1)
    with pytest.raises(SettingsError, match="--first_label=1: .* only labels of --tfrecord"):
        flagfiles.parse(["--dataset=scenes", "--first_label=1"], DataSettings)


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a")
    with pytest.raises(UserError, match="a is no regular file"):
        ExampleFiles(str(tmp_path / "*"), 1)


def test_a_name_that_is_no_utf8_is_refused(tmp_path):
    open(os.fsencode(tmp_path) + b"/\xff.tfrecord", "wb").close()
    with pytest.raises(UserError, match="whose name is no UTF-8; rename it"):
        ExampleFiles(str(tmp_path / "*"), 1)


def test_files_that_are_empty_or_absent_are_told(tmp_path, capsys):
    for n in (0, 1, 3):
        write_records(tmp_path / f"x-0000{n}-of-00005", [example(image=b"x")] * 4)
    ExampleFiles(str(tmp_path / "x-*"), 1)
    told = capsys.readouterr().err
    assert "not among these files are 2 of 5 such as x-00002-of-00005; get them" in told
    for n in (2, 4):
        (tmp_path / f"x-0000{n}-of-00005").touch()
    assert ExampleFiles(str(tmp_path / "x-*"), 1).size == 12
    told = capsys.readouterr().err
    assert "2 of 5 files hold no record, such as " in told and "00002-of-00005; copy" in told
    write_records(tmp_path / "a-of-b", [example(image=b"x")])
    ExampleFiles(str(tmp_path / "a*"), 1)
    assert capsys.readouterr().err == ""


def test_no_file_matches(tmp_path):
    with pytest.raises(UserError, match="--tfrecord=.*nothing.* matches no file"):
        ExampleFiles(str(tmp_path / "nothing*"), 1)
