"""OHMS from tiny CSVs whose counts are done by hand."""

import json
import pickle
import shutil

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf import command, openimages
from ssl_tf.data.boxes import are_boxes
from ssl_tf.locks import exclusive
from ssl_tf.settings import OpenImagesSettings
from tests.data.opened import source_of

HEADER = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf,IsDepiction"
# image -> (class, number of its boxes). At two classes an image and three images a class:
# 1 to 5 have two classes or more; of those a has 5 images, b 3, c 2, d 1, so a and b are kept;
# then 1 to 5 are left (5 for its a alone).
TRAIN = {
    1: {"a": 1, "b": 2},
    2: {"a": 2, "b": 1, "c": 1},
    3: {"a": 1, "b": 1},
    4: {"a": 1, "c": 3},
    5: {"a": 4, "d": 1},
    6: {"a": 5},
    7: {"b": 1},
    8: {"c": 2},
}
TEST = {17: {"a": 1, "d": 1}, 18: {"b": 2}, 19: {"c": 1, "d": 1}, 20: {"a": 1, "e": 9}}
FILTERS = ("--min_images=3",)


def image_id(number):
    return f"{number + 0xF00000000000000:016x}"


def box(image, label, place):
    """(xmin, xmax, ymin, ymax), eighths, which float32 holds exactly."""
    return place % 4 / 8, (place % 4 + 2 + ord(label) % 3) / 8, image % 3 / 8, (image % 3 + 4) / 8


def rows(images):
    for image, labels in images.items():
        for label, count in labels.items():
            for place in range(count):
                sides = ",".join(map(str, box(image, label, place)))
                yield f"{image_id(image)},xclick,/m/{label},1,{sides},0,0"


def write_csv(path, images, header=HEADER):
    path.write_text("\n".join([header, *rows(images)]) + "\n")
    return path


def write_images(folder, images):
    folder.mkdir()
    for image in images:
        pixels = np.random.default_rng(image).integers(0, 256, (12, 9, 3), dtype=np.uint8)
        tf.io.write_file(str(folder / f"{image_id(image)}.jpg"), tf.io.encode_jpeg(pixels))
    return folder


def build(tmp_path, *flags):
    command.run(
        openimages.main,
        OpenImagesSettings,
        [f"--boxes={tmp_path / 'train.csv'}", f"--output={tmp_path / 'out'}", *flags],
    )
    return json.loads((tmp_path / "out" / "ohms" / "stats.json").read_text())


def listed(tmp_path, split="train"):
    return (tmp_path / "out" / "ohms" / f"{split}_ids.txt").read_text().split()


def ids(*numbers):
    return [image_id(number) for number in numbers]


@pytest.fixture
def places(tmp_path):
    """CSVs and images of both splits."""
    write_csv(tmp_path / "train.csv", TRAIN)
    write_csv(tmp_path / "test.csv", TEST)
    write_images(tmp_path / "train", TRAIN)
    write_images(tmp_path / "test", TEST)
    return tmp_path


def with_images(tmp_path, *flags):
    return build(
        tmp_path,
        *FILTERS,
        f"--images={tmp_path / 'train'}",
        f"--test_boxes={tmp_path / 'test.csv'}",
        f"--test_images={tmp_path / 'test'}",
        *flags,
    )


def test_the_counts_of_each_step(places, capsys):
    stats = build(places, *FILTERS, f"--test_boxes={places / 'test.csv'}")
    told = [
        (step["images"], step["classes"], step["boxes"], step["boxes_per_image"])
        for step in stats["train"]
    ]
    assert told == [
        (8, 4, 26, 3.25),
        (5, 4, 18, 3.6),
        (5, 2, 13, 2.6),
        (5, 2, 13, 2.6),
    ]
    last = stats["train"][-1]
    assert (last["fewest_images_of_a_class"], last["most_images_of_a_class"]) == (3, 5)
    assert last["classes_per_image"] == 1.6
    assert stats["paper"] == {"images": 212753, "classes": 208, "boxes_per_image": 12}
    assert [(step["images"], step["boxes"]) for step in stats["test"]] == [(4, 16), (3, 4)]
    assert stats["settings"]["min_images"] == "3"
    assert listed(places) == ids(1, 2, 3, 4, 5) and listed(places, "test") == ids(17, 18, 20)
    assert (places / "out/ohms/classes.txt").read_text() == "/m/a\n/m/b\n"
    assert "train: 2 classes or more an image: 5 images, 4 classes" in capsys.readouterr().out


def test_several_classes_again_after_the_rare_ones_are_gone(places):
    build(places, *FILTERS, "--min_classes_after=2")
    assert listed(places) == ids(1, 2, 3)


def test_to_the_fixed_point(places):
    pairs = ["ab"] * 4 + ["bc"] * 2 + ["cd"]
    images = {number: dict.fromkeys(pair, 1) for number, pair in enumerate(pairs, 1)}
    write_csv(places / "train.csv", images)
    # At three images a class d goes, and with it the last image, which is left with c alone.
    stats = build(places, *FILTERS, "--min_classes_after=2")["train"]
    assert listed(places) == ids(1, 2, 3, 4, 5, 6)
    assert [step["classes"] for step in stats] == [4, 4, 3, 3]
    assert [step["images"] for step in stats] == [7, 7, 7, 6]
    # Which leaves two images to c: it goes too, and those of b and c with it.
    stats = build(places, *FILTERS, "--min_classes_after=2", "--to_fixed_point")["train"]
    assert listed(places) == ids(1, 2, 3, 4)
    assert [step["classes"] for step in stats] == [4, 4, 3, 3, 2, 2, 2, 2]
    assert [step["images"] for step in stats] == [7, 7, 7, 6, 6, 4, 4, 4]


@pytest.mark.parametrize("pieces", [1, 3, 1000])
def test_rows_in_any_order_and_pieces_of_any_size(places, pieces, monkeypatch):
    expected = build(places, *FILTERS)["train"]
    lines = (places / "train.csv").read_text().split("\n")[1:-1]
    shuffled = np.random.default_rng(0).permutation(lines)
    (places / "train.csv").write_text("\n".join([HEADER, *shuffled]))
    monkeypatch.setattr("ssl_tf.data.openimages.box_csv._ROWS_AT_ONCE", pieces)
    assert build(places, *FILTERS)["train"] == expected
    assert listed(places) == ids(1, 2, 3, 4, 5)


def test_columns_by_name_and_rows_left_out(places):
    header = "IsDepiction,Other,YMax,YMin,XMax,XMin,LabelName,Source,IsGroupOf,ImageID"
    lines = [header]
    for number, line in enumerate(rows(TRAIN)):
        image, _, label, _, xmin, xmax, ymin, ymax, _, _ = line.split(",")
        source = "xclick" if number % 2 else "activemil"
        lines.append(f"0,?,{ymax},{ymin},{xmax},{xmin},{label},{source},0,{image}")
    # Two more classes for image 6, in boxes that the flags drop.
    lines.append(f"1,?,1,0,1,0,/m/b,xclick,0,{image_id(6)}")
    lines.append(f"0,?,1,0,1,0,/m/b,xclick,1,{image_id(6)}")
    (places / "train.csv").write_text("\n".join(lines))
    everything = build(places, *FILTERS)["train"]
    assert everything[0]["boxes"] == 28 and everything[1]["images"] == 6
    for flags, boxes in (
        (("--drop_depiction",), 27),
        (("--drop_group_of",), 27),
        (("--drop_depiction", "--drop_group_of"), 26),
        (("--sources=xclick",), 15),
        (("--sources=xclick,activemil",), 28),
    ):
        assert build(places, "--min_images=1", *flags)["train"][0]["boxes"] == boxes


def test_the_random_control_has_no_test_image(places):
    """All images with boxes are in one file."""
    (places / "all.txt").write_text("\n".join(image_id(n) for n in (1, 2, 3)))
    (places / "test.txt").write_text("\n".join(image_id(n) for n in (4, 5, 6)))
    train = f"--test_boxes={places / 'train.csv'}"
    lists = f"--ids={places / 'all.txt'}", f"--test_ids={places / 'test.txt'}"
    for seed in range(4):
        build(places, train, *lists, "--random_control", f"--seed={seed}")
        drawn = set(listed(places, "random"))
        assert len(drawn) == 3 and not drawn & {image_id(n) for n in (4, 5, 6)}


def expected_boxes(images, image, kept):
    made = []
    for label, count in images[image].items():
        for place in range(count):
            xmin, xmax, ymin, ymax = box(image, label, place)
            if label in kept:
                made.append(("ab".index(label), (ymin, xmin, ymax, xmax)))
    return made


def test_the_data_set_is_read_back(places):
    import tensorflow_datasets as tfds

    with_images(places)
    root = places / "out"
    assert sorted(path.name for path in root.iterdir()) == ["ohms"]
    for split, images, numbers in (
        ("train", TRAIN, (1, 2, 3, 4, 5)),
        ("test", TEST, (17, 18, 20)),
    ):
        source = source_of(dataset="ohms", data_dir=str(root), split=split)
        source.verify()
        assert (source.size, source.num_classes, source.multi_label) == (len(numbers), 2, True)
        assert source.class_names == ("/m/a", "/m/b")
        loaded = tfds.load("ohms", data_dir=str(root), split=split, download=False)
        records = source.sequence().as_numpy_iterator()
        for number, record, example in zip(numbers, records, loaded.as_numpy_iterator()):
            made = expected_boxes(images, number, "ab")
            assert record["id"].decode() == example["id"].decode() == image_id(number)
            file = places / split / f"{image_id(number)}.jpg"
            assert record["image"] == file.read_bytes()
            np.testing.assert_array_equal(example["image"], tf.io.decode_jpeg(file.read_bytes()))
            np.testing.assert_array_equal(record["boxes"], np.float32([b for _, b in made]))
            np.testing.assert_array_equal(example["objects"]["bbox"], record["boxes"])
            np.testing.assert_array_equal(example["objects"]["label"], [k for k, _ in made])
            present = [float(k in {kind for kind, _ in made}) for k in range(2)]
            np.testing.assert_array_equal(record["label"], np.float32(present))
            assert record["label"].dtype == np.float32


def test_many_shards(places, monkeypatch):
    monkeypatch.setattr("ssl_tf.data.openimages.boxed_images._SHARD_BYTES", 1000)
    with_images(places)
    files = sorted((places / "out/ohms/1.0.0").glob("ohms-train.tfrecord-*"))
    total = sum((places / "train" / f"{name}.jpg").stat().st_size for name in listed(places))
    assert len(files) == -(-total // 1000) > 1
    source = source_of(dataset="ohms", data_dir=str(places / "out"))
    source.verify()
    names = [record["id"].decode() for record in source.sequence().as_numpy_iterator()]
    assert names == ids(1, 2, 3, 4, 5)


def test_random_control_and_a_sample(places):
    stats = with_images(places, "--random_control", "--max_images=4", "--seed=1")
    chosen, control = listed(places), listed(places, "random")
    assert len(set(chosen)) == len(set(control)) == 4 and stats["train"][-1]["images"] == 4
    assert set(chosen) <= set(ids(1, 2, 3, 4, 5)) and set(control) <= set(ids(*TRAIN))
    source = source_of(dataset="ohms", data_dir=str(places / "out"), split="random")
    for record in source.sequence().as_numpy_iterator():
        number = ids(*TRAIN).index(record["id"].decode()) + 1
        made = expected_boxes(TRAIN, number, "ab")
        np.testing.assert_array_equal(
            record["boxes"], np.float32([b for _, b in made]).reshape(-1, 4)
        )
        assert set(np.flatnonzero(record["label"])) == {kind for kind, _ in made}
    drawn = set()
    for seed in range(6):
        build(
            places, *FILTERS, "--name=other", "--max_images=2", f"--seed={seed}", "--random_control"
        )
        drawn.add((places / "out/other/random_ids.txt").read_text())
    assert len(drawn) > 2


@pytest.mark.parametrize("kind", ["txt", "json", "object.json", "npy", "pickle.npy"])
def test_released_lists_in_place_of_the_filters(places, kind):
    path = places / f"list.{kind}"
    wanted = [*ids(8, 2, 2, 5), image_id(99)]
    if kind == "txt":
        path.write_text("\n".join(f"train/{name}.jpg" for name in wanted) + "\n\n")
    elif kind == "json":
        path.write_text(json.dumps(wanted))
    elif kind == "object.json":
        path.write_text(json.dumps(dict.fromkeys(wanted, ["/m/a"])))
    elif kind == "npy":
        np.save(path, np.array(wanted))
    else:
        np.save(path, {name: ["/m/a"] for name in wanted})
    stats = build(places, f"--ids={path}")
    assert listed(places) == ids(2, 5, 8)
    assert (places / "out/ohms/classes.txt").read_text().split() == ["/m/a", "/m/b", "/m/c", "/m/d"]
    assert stats["train"][1]["step"] == "images of the list, which has 4"


def test_a_list_of_test_images(places):
    (places / "test.txt").write_text(image_id(20))
    build(
        places, *FILTERS, f"--test_boxes={places / 'test.csv'}", f"--test_ids={places / 'test.txt'}"
    )
    assert listed(places, "test") == ids(20)


@pytest.mark.parametrize("content", [None, b"", b"<html>"])
def test_missing_images_are_told_up_to_a_limit(content, places, capsys):
    path = places / "train" / f"{image_id(2)}.jpg"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(SystemExit):
        with_images(places)
    told = capsys.readouterr().err
    assert f"lacks 1 of the 5 images of train, or they are no JPEGs, {image_id(2)}.jpg the" in told
    assert not (places / "out/ohms").exists()
    stats = with_images(places, "--max_missing=0.2")
    assert stats["missing_files"]["train"] == {"count": 1, "ids": ids(2)}
    source = source_of(dataset="ohms", data_dir=str(places / "out"))
    assert [r["id"].decode() for r in source.sequence().as_numpy_iterator()] == ids(1, 3, 4, 5)
    # The list and the last counts are of what is in the data set: image 2 had 3 of the 13 boxes.
    assert listed(places) == ids(1, 3, 4, 5)
    last = stats["train"][-1]
    assert (last["images"], last["classes"], last["boxes"]) == (4, 2, 10)
    assert listed(places, "test") == ids(17, 18, 20) and stats["test"][-1]["images"] == 3


def test_missing_images_of_the_random_control(places):
    (places / "train" / f"{image_id(2)}.jpg").unlink()
    # The classes have five images in all; the control is drawn of eight.
    stats = with_images(places, "--max_missing=0.5", "--random_control", "--seed=1")
    source = source_of(dataset="ohms", data_dir=str(places / "out"), split="random")
    there = [r["id"].decode() for r in source.sequence().as_numpy_iterator()]
    assert listed(places, "random") == there and image_id(2) not in there
    assert stats["missing_files"]["random"]["ids"] == ids(2)
    assert [step["images"] for step in stats["random"]] == [5, 4]


def test_boxes_without_area_are_left_out_and_told(places, capsys):
    expected = with_images(places)["train"]
    shutil.rmtree(places / "out")
    capsys.readouterr()
    # A second class for image 6, a new one for 1; the last has an area in double precision only.
    flat = [(6, "b", "0.5,0.5,0,1"), (1, "z", "0,1,0.25,0.25"), (7, "a", "0.5,0.500000001,0,1")]
    with (places / "train.csv").open("a") as file:
        for image, label, sides in flat:
            file.write(f"{image_id(image)},xclick,/m/{label},1,{sides},0,0\n")
    assert with_images(places)["train"] == expected
    told = f"--boxes={places / 'train.csv'}: 3 boxes without area are left out"
    assert capsys.readouterr().err.splitlines().count(told) == 1
    for split in ("train", "test"):
        source = source_of(dataset="ohms", data_dir=str(places / "out"), split=split)
        for record in source.sequence().as_numpy_iterator():
            assert are_boxes(record["boxes"]).numpy().all()


def test_a_box_of_a_group_gives_its_label_and_is_no_object(places, capsys):
    lines = (places / "train.csv").read_text().splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith(f"{image_id(1)},"))
    image, source, label, confidence, *_ = lines[at].split(",")
    lines[at] = f"{image},{source},{label},{confidence},0.125,0.875,0.25,0.75,1,0"
    (places / "train.csv").write_text("\n".join(lines))
    stats = with_images(places)
    assert stats["train"][-1]["boxes"] == 13
    source = source_of(dataset="ohms", data_dir=str(places / "out"), split="train")
    assert "(objects/is_crowd) are left out" in capsys.readouterr().err
    records = {example["id"]: example for example in source.sequence().as_numpy_iterator()}
    boxes = records[image_id(1).encode()]["boxes"].tolist()
    assert [0.25, 0.125, 0.75, 0.875] not in boxes
    assert sum(len(record["boxes"]) for record in records.values()) == 12
    assert records[image_id(1).encode()]["label"].tolist() == [1, 1]


def test_lists_of_an_earlier_call_are_gone(places):
    build(places, *FILTERS, f"--test_boxes={places / 'test.csv'}", "--random_control")
    build(places, *FILTERS, "--min_images=1")
    assert [path.name for path in (places / "out" / "ohms").glob("*_ids.txt")] == ["train_ids.txt"]


def test_a_second_build_leaves_the_first_alone(places, capsys):
    staging = places / "out" / "ohms.writing"
    with exclusive(places / "out" / "ohms"):
        staging.mkdir()
        with pytest.raises(SystemExit):
            with_images(places)
        assert staging.exists() and "ohms is in use by process" in capsys.readouterr().err
    # What a killed build left is removed.
    with_images(places)
    assert sorted(path.name for path in (places / "out").iterdir()) == ["ohms"]
    assert sorted(path.name for path in (places / "out" / "ohms").iterdir()) == [
        "1.0.0", "classes.txt", "stats.json", "test_ids.txt", "train_ids.txt",
    ]  # fmt: skip


class Marker:
    """Unpickling this leaves a trace."""

    def __reduce__(self):
        return print, ("unpickled",)


def fails(capsys, tmp_path, message, *flags, code=1):
    # A list of images takes the place of the filters.
    filters = () if any(flag.startswith("--ids") for flag in flags) else FILTERS
    with pytest.raises(SystemExit) as stopped:
        build(tmp_path, *filters, *flags)
    told = capsys.readouterr()
    assert stopped.value.code == code and "unpickled" not in told.out
    lines = [line for line in told.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and message in lines[0], told.err
    assert not (tmp_path / "out/ohms").exists()


@pytest.mark.parametrize(
    "line, damage",
    [
        (4, "{id},xclick,/m/a,1,0,0.5,0.25,nothing,0,0"),
        (7, "{id},xclick,/m/a,1,0,0.5,0.25"),
        (2, "{id},xclick,/m/a,1,0,1.5,0.25,0.5,0,0"),
        (3, "{id},xclick,/m/a,1,0.5,0.25,0.25,0.5,0,0"),
        (9, "{id},xclick,/m/a,1,nan,0.25,0.25,0.5,0,0"),
        (5, "0001,xclick,/m/a,1,0,0.25,0.25,0.5,0,0"),
        (6, "{no},xclick,/m/a,1,0,0.25,0.25,0.5,0,0"),
        (8, ""),
    ],
)
def test_damaged_rows(places, capsys, line, damage):
    lines = (places / "train.csv").read_text().split("\n")
    lines[line - 1] = damage.format(id=image_id(1), no="g" * 16)
    (places / "train.csv").write_text("\n".join(lines))
    fails(capsys, places, f"line {line} of --boxes={places / 'train.csv'} is damaged")


def test_bad_input(places, capsys):
    train = places / "train.csv"
    fails(capsys, places, "no image of", "--min_images=6")
    fails(
        capsys, places, "images with boxes: 8, then 2 classes or more an image: 5", "--min_images=6"
    )
    fails(capsys, places, "--test_boxes=none: No such file", "--test_boxes=none")
    write_csv(places / "test.csv", {1: {"z": 1}})
    test = f"--test_boxes={places / 'test.csv'}"
    fails(capsys, places, "shows one of the 2 classes of the train images", test)
    fails(capsys, places, "--ids=none.txt: No such file", "--ids=none.txt")
    fails(capsys, places, "only with them", "--test_images=x", code=2)
    fails(capsys, places, "--name=a/b: letters", "--name=a/b", code=2)
    (places / "list.json").write_text("[3")
    fails(capsys, places, "list.json cannot be read", f"--ids={places / 'list.json'}")
    (places / "list.txt").write_text(f"{image_id(1)}\nsheep\n")
    fails(capsys, places, "entry 2, 'sheep', is no image id", f"--ids={places / 'list.txt'}")
    (places / "empty.txt").write_text("\n")
    fails(capsys, places, "holds no list of ids", f"--ids={places / 'empty.txt'}")
    (places / "foreign.txt").write_text(image_id(77))
    fails(capsys, places, "images of the list, which has 1: 0", f"--ids={places / 'foreign.txt'}")
    np.save(places / "array.npy", np.array({Marker(): 1}, dtype=object), allow_pickle=True)
    (places / "bare.npy").write_bytes(pickle.dumps({Marker(): 1}))
    for name in ("array.npy", "bare.npy"):
        told = f"--ids={places / name} names "
        fails(capsys, places, told, f"--ids={places / name}")
    (places / "cut.npy").write_bytes((places / "array.npy").read_bytes()[:40])
    fails(capsys, places, "cut.npy cannot be read", f"--ids={places / 'cut.npy'}")
    (places / "nothing.npy").write_bytes(b"")
    fails(capsys, places, "nothing.npy cannot be read", f"--ids={places / 'nothing.npy'}")
    write_csv(train, TRAIN, HEADER.replace("LabelName", "Label").replace("XMax", "Right"))
    fails(capsys, places, f"--boxes={train} has no column LabelName, XMax; its first line is 'Ima")
    write_csv(train, TRAIN)
    known = train.read_text().split("\n")[1].split(",")[1]
    told = f"--sources=xclik: --boxes={train} has no box of it; it has those of {known}"
    fails(capsys, places, told, f"--sources={known},xclik")
    told = f"images are in train and in test, such as {image_id(1)}: a figure on them"
    fails(capsys, places, told, f"--test_boxes={train}", "--min_images=1")
    write_csv(train, TRAIN, HEADER.replace("Source", "From"))
    fails(capsys, places, "has no column Source", "--sources=xclick")
    train.write_bytes(b"\xff\xfe\x00")
    fails(capsys, places, f"--boxes={train} is no CSV file")
    train.write_text("")
    fails(capsys, places, "has no column ImageID, LabelName, YMin, XMin, YMax, XMax")
    train.write_text(HEADER)
    fails(capsys, places, "no image of")


def test_a_data_set_is_never_overwritten(places, capsys):
    with_images(places)
    before = (places / "out/ohms/stats.json").read_bytes()
    with pytest.raises(SystemExit) as stopped:
        with_images(places, "--min_images=2")
    assert stopped.value.code == 2 and "1.0.0 exists; give another" in capsys.readouterr().err
    assert (places / "out/ohms/stats.json").read_bytes() == before
