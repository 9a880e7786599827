import shutil

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.data.sources import tfds_features
from ssl_tf.data.sources.source_checks import check_guesses
from ssl_tf.errors import SettingsError, UserError
from tests.data.annotations.annotated_files import coco_example, coco_features, prepare_tfds
from tests.data.opened import source_of
from tests.data.prepared_tfds import KINDS, POSES, prepare, prepare_several
from tests.data.tiny_images import picture, without_images, write_records


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    root = tmp_path_factory.mktemp("tfds")
    prepare(root)
    return root


def opened(root, split="train", dataset="animals"):
    return source_of(dataset=dataset, data_dir=str(root), split=split)


def test_records(prepared):
    source = opened(prepared)
    assert (source.name, source.size, source.num_classes) == ("animals:train", 13, 3)
    assert source.class_names == ("cat", "dog", "eel")
    records = list(source.sequence().as_numpy_iterator())
    assert [record["index"] for record in records] == list(range(13))
    for number, record in enumerate(records):
        assert sorted(record) == ["boxes", "id", "image", "index", "label", "row"]
        assert record["id"] == f"{number}.png".encode() and record["label"] == number % 3
        np.testing.assert_array_equal(tf.io.decode_png(record["image"]), picture(number))
        np.testing.assert_array_equal(
            record["boxes"], np.float32([[0, 0.25, 0.5, 1]] * (number % 2)).reshape(-1, 4)
        )


@pytest.mark.parametrize(
    "split, numbers",
    [
        ("test", range(13, 18)),
        ("train[:6]", range(6)),
        ("train[50%:]", range(6, 13)),
        ("train[8:10]", range(8, 10)),
        ("train[:2]+test[-1:]", [0, 1, 17]),
        ("all", range(18)),
    ],
)
def test_slices(prepared, split, numbers):
    source = opened(prepared, split)
    expected = [f"{number}.png".encode() for number in numbers]
    assert [record["id"] for record in source.sequence().as_numpy_iterator()] == expected
    assert source.size == len(expected)


def test_stream_restarts_anywhere(prepared):
    source = opened(prepared)
    whole = without_images(source.stream(2, 0, 40))
    for start in (12, 13, 20):
        assert without_images(source.stream(2, start, 40)) == whole[start:]
    for epoch in range(3):
        indices = [record["index"] for record in whole[13 * epoch : 13 * epoch + 13]]
        assert sorted(indices) == list(range(13)) != indices


def test_configurations_and_versions(tmp_path):
    prepare(tmp_path, version="2.0.0", config="small", counts={"train": [1]})
    prepare(tmp_path, version="10.0.0", config="small", counts={"train": [2]})
    assert opened(tmp_path).size == opened(tmp_path, dataset="animals/small").size == 2
    assert opened(tmp_path, dataset="animals:2.0.0").size == 1
    assert opened(tmp_path, dataset="animals/small:2.0.0").size == 1
    prepare(tmp_path, version="2.0.0", config="big", counts={"train": [3]})
    assert opened(tmp_path, dataset="animals/big").size == 3
    with pytest.raises(UserError, match="several configurations.*: animals/big, animals/small"):
        opened(tmp_path)
    with pytest.raises(UserError, match="are the versions 10.0.0, 2.0.0"):
        opened(tmp_path, dataset="animals/small:3.0.0")


def test_the_default_directory(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert opened("").size == 13


def test_unknown_data_set(prepared, tmp_path):
    with pytest.raises(
        UserError,
        match="--dataset=cats is not prepared in .*; prepared there: animals; TensorFlow Datasets "
        "has none of this name: correct it",
    ):
        opened(prepared, dataset="cats")
    with pytest.raises(UserError, match="where no data set is prepared; TensorFlow"):
        opened(tmp_path)
    with pytest.raises(UserError, match="nowhere, which does not exist; TensorFlow"):
        opened(tmp_path / "nowhere")


@pytest.mark.parametrize("split", ["validation", "train[", "train[50:60]", ""])
def test_unknown_split(prepared, split):
    with pytest.raises(SettingsError) as caught:
        opened(prepared, split)
    message = str(caught.value)
    assert message.startswith(f"--split={split}") and "\n" not in message
    assert "splits train, test" in message


def test_empty_split(prepared):
    with pytest.raises(SettingsError, match="--split=train.:0. of --dataset=animals is empty"):
        opened(prepared, "train[:0]")


def test_no_image(tmp_path):
    prepare(tmp_path, image=False)
    with pytest.raises(UserError, match="no image feature; it has file_name, label, objects"):
        opened(tmp_path)


def test_other_file_formats(tmp_path):
    prepare(tmp_path, file_format="riegeli")
    with pytest.raises(UserError, match="stored as riegeli; prepare it with --file_format="):
        opened(tmp_path)


def test_damage(tmp_path, prepared):
    root = tmp_path / "copy"
    shutil.copytree(prepared, root)
    directory = root / "animals" / "1.0.0"
    shard = directory / "animals-train.tfrecord-00001-of-00003"
    content = shard.read_bytes()
    for kept in (len(content) - 5, 5):
        shard.write_bytes(content[:kept])
        with pytest.raises(UserError, match=f"{shard} is damaged or truncated at record "):
            opened(root)
    assert opened(root, "test").size == 5
    shard.unlink()
    with pytest.raises(UserError, match=f"{shard} .* is missing"):
        opened(root)
    (directory / "features.json").unlink()
    with pytest.raises(UserError, match="TensorFlow Datasets cannot read") as caught:
        opened(root)
    assert "\n" not in str(caught.value)


def places(**features):
    import tensorflow_datasets as tfds

    found = tfds.features.FeaturesDict(features)
    boxes = next(iter(tfds_features.find_boxes(found)), None)
    labels = tfds_features.find_labels(found)
    chosen, guessed = tfds_features.choose(*tfds_features.usual_labels(found, labels, boxes))
    assert not guessed
    return boxes, labels.get(chosen)


def test_labels_of_an_image_or_of_its_boxes():
    import tensorflow_datasets as tfds

    label = tfds.features.ClassLabel(num_classes=3)
    labels = tfds.features.Sequence(label)
    boxed = tfds.features.Sequence({"bbox": tfds.features.BBoxFeature(), "label": label})
    named = tfds.features.Sequence({"label": label})
    # COCO; VOC; OpenImages, whose `objects` are labels of the image with a confidence.
    assert places(objects=boxed) == (("objects", "bbox"), ("objects", "label"))
    assert places(objects=boxed, labels=labels, labels_no_difficult=labels) == (
        ("objects", "bbox"),
        ("labels", None),
    )
    amodal = tfds.features.Sequence(
        {"amodal": tfds.features.BBoxFeature(), "bbox": tfds.features.BBoxFeature(), "label": label}
    )
    assert places(faces=boxed, objects=amodal)[0] == ("objects", "bbox")
    assert places(bobjects=boxed, objects=named) == (("bobjects", "bbox"), ("bobjects", "label"))
    assert places(objects=named) == (None, None)
    assert places(labels=labels) == (None, ("labels", None))
    # Beside another label of boxes, in any order.
    crossed = tfds.features.Sequence(
        {"bbox": tfds.features.BBoxFeature(), "hidden": label, "label": label}
    )
    assert places(objects=crossed) == (("objects", "bbox"), ("objects", "label"))
    assert places(fine=label, objects=boxed) == (("objects", "bbox"), ("fine", None))


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    root = tmp_path_factory.mktemp("several")
    prepare_several(root)
    return root


def labels_of(source):
    return np.array([record["label"] for record in source.sequence().as_numpy_iterator()])


def test_labels_of_any_name_are_told_or_named(several):
    source = opened(several, dataset="toys")
    told = "toys:train has the features kind, pose, and none is called label"
    assert source.guesses == {"label_feature": told}
    assert source.part(np.arange(6) < 3, "half").guesses == source.guesses
    for feature, names in (("kind", KINDS), ("pose", POSES)):
        source = source_of(dataset="toys", data_dir=str(several), label_feature=feature)
        assert source.guesses == {} and source.class_names == tuple(names)
        assert source.name == f"toys ({feature}):train"
        np.testing.assert_array_equal(labels_of(source), np.arange(6) % len(names))
    with pytest.raises(UserError, match="^--label_feature=breed: toys has no such feature; it has"):
        source_of(dataset="toys", data_dir=str(several), label_feature="breed")


def test_labels_of_boxes_are_told_or_named(several):
    source = opened(several, dataset="roads")
    told = "roads:train has the features objects/hidden, objects/type, and none is called objects/"
    assert source.guesses["label_feature"].startswith(told)
    source = source_of(dataset="roads", data_dir=str(several), label_feature="objects/type")
    assert source.guesses == {} and source.multi_label
    np.testing.assert_array_equal(labels_of(source), np.eye(2)[np.arange(6) % 2])


def test_images_of_any_name_are_told_or_named(several):
    source = opened(several, dataset="pairs")
    told = "pairs:train has the features left, right, and none is called image"
    assert source.guesses == {"image_feature": told}
    for feature, first in (("left", 0), ("right", 50)):
        source = source_of(dataset="pairs", data_dir=str(several), image_feature=feature)
        assert source.guesses == {} and source.name == f"pairs ({feature}):train"
        for number, record in enumerate(source.sequence().as_numpy_iterator()):
            image = tf.io.decode_png(record["image"])
            np.testing.assert_array_equal(image, picture(first + number))


def test_of_several_boxes_those_of_objects_are_taken_then_the_first_by_name():
    import tensorflow_datasets as tfds

    boxed = tfds.features.Sequence({"bbox": tfds.features.BBoxFeature()})
    for order in (("faces", "objects", "persons"), ("persons", "objects", "faces")):
        assert places(**{name: boxed for name in order})[0] == ("objects", "bbox")
    for order in (("faces", "persons"), ("persons", "faces")):
        assert places(**{name: boxed for name in order})[0] == ("faces", "bbox")


def test_a_guess_does_not_depend_on_the_order_of_the_features():
    for names in (["b", "a", "c"], ["c", "b", "a"]):
        told = "has the features a, b, c, and none is called d"
        assert tfds_features.choose(names, "d") == ("a", told)
        assert tfds_features.choose(names, "c") == ("c", "")


def test_one_label_or_image_of_any_name_is_no_guess(prepared):
    assert opened(prepared).guesses == {}


@pytest.mark.parametrize("judged", [False, True])
def test_what_was_guessed_is_refused_where_it_matters(several, judged, capsys):
    toys, pairs = (opened(several, dataset=name) for name in ("toys", "pairs"))
    with pytest.raises(SettingsError, match="none is called image; name one by --image_feature"):
        check_guesses(pairs, judged=judged)
    if judged:
        with pytest.raises(SettingsError, match="called label; name one by --label_feature$"):
            check_guesses(toys, judged=True)
    else:
        check_guesses(toys, judged=False)
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and "warning: toys:train has the features" in told
    # What an older version began goes on with its labels, and tells it.
    check_guesses(toys, judged=judged, begun=True)
    assert capsys.readouterr().err.count("; the first is taken, --label_feature names") == 1
    with pytest.raises(SettingsError, match="by --image_feature, here and in flags.txt$"):
        check_guesses(pairs, judged=judged, begun=True)


def test_a_sequence_of_labels_becomes_multi_hot(tmp_path):
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "labels": tfds.features.Sequence(tfds.features.ClassLabel(names=["cat", "dog", "eel"])),
        }
    )
    directory = tmp_path / "several" / "1.0.0"
    directory.mkdir(parents=True)
    listed = [[0], [2, 1], [], [1, 1]]
    examples = [
        features.serialize_example(
            features.encode_example({"image": picture(number), "labels": labels})
        )
        for number, labels in enumerate(listed)
    ]
    write_records(directory / "several-train.tfrecord-00000-of-00001", examples)
    tfds.folder_dataset.write_metadata(
        data_dir=str(directory),
        features=features,
        split_infos=[tfds.core.SplitInfo("train", [len(listed)], sum(map(len, examples)))],
        filename_template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
    )
    source = opened(tmp_path, dataset="several")
    assert source.multi_label and source.class_names == ("cat", "dog", "eel")
    labels = [record["label"] for record in source.sequence().as_numpy_iterator()]
    np.testing.assert_array_equal(labels, [[1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 1, 0]])
    assert labels[0].dtype == np.float32


def test_what_is_not_prepared_is_told_by_a_way_that_can_work(tmp_path):
    with pytest.raises(UserError, match=r"tfds.builder\('cifar10', data_dir=.*"):
        opened(tmp_path, dataset="cifar10")
    with pytest.raises(UserError) as raised:
        opened(tmp_path, dataset="ohms")
    told = str(raised.value)
    assert "tfds.builder" not in told
    assert f"python -m ssl_tf.openimages --name=ohms --output={tmp_path}" in told


@pytest.mark.parametrize(
    "split, twice",
    [("train[:50%]+train[25%:75%]", 3), ("train+train", 13), ("train+train[:2]", 2)],
)
def test_parts_that_overlap_are_refused(split, twice, prepared):
    with pytest.raises(SettingsError, match=rf"has {twice} examples more than once, which a hold"):
        opened(prepared, split)


def test_parts_side_by_side_are_taken(prepared):
    assert opened(prepared, "train[:50%]+train[50%:]").size == 13


def test_images_of_floats_are_no_images(tmp_path, capsys):
    import tensorflow_datasets as tfds

    features = {"depth": tfds.features.Image(shape=(None, None, 1), dtype=np.float32)}
    example = {"depth": np.ones([4, 4, 1], np.float32)}
    prepare_tfds(tmp_path, "deep", tfds.features.FeaturesDict(features), {"train": [example]})
    with pytest.raises(UserError, match="has no image feature; it has depth"):
        opened(tmp_path, dataset="deep")
    features["image"] = tfds.features.Image(encoding_format="png")
    examples = [example | {"image": picture(1)}]
    prepare_tfds(tmp_path, "both", tfds.features.FeaturesDict(features), {"train": examples})
    (record,) = opened(tmp_path, dataset="both").sequence().as_numpy_iterator()
    np.testing.assert_array_equal(tf.io.decode_png(record["image"]), picture(1))
    assert "images of floats are left out: depth" in capsys.readouterr().err


def test_boxes_of_crowds_are_left_out_and_told(tmp_path, capsys):
    objects = [(1, (0.0, 0.25, 0.5, 1.0), 11, False), (0, (0.5, 0.5, 1.0, 0.75), 5, True)]
    examples = [coco_example(0, objects), coco_example(1, objects[1:]), coco_example(2, [])]
    prepare_tfds(tmp_path, "coco", coco_features(), {"train": examples})
    first, second, third = opened(tmp_path, dataset="coco").sequence().as_numpy_iterator()
    np.testing.assert_array_equal(first["boxes"], [objects[0][1]])
    assert second["boxes"].shape == third["boxes"].shape == (0, 4)
    # What an image shows is no matter of its boxes.
    np.testing.assert_array_equal(first["label"], [1, 1])
    told = capsys.readouterr().err
    assert "boxes around several objects (objects/is_crowd) are left out" in told


def test_groups_of_open_images_are_left_out_where_they_are_known_as_such(tmp_path, capsys):
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "bobjects": tfds.features.Sequence(
                {
                    "bbox": tfds.features.BBoxFeature(),
                    "is_group_of": np.int8,
                    "label": tfds.features.ClassLabel(names=["cat", "dog"]),
                }
            ),
        }
    )
    corners = [(0.0, 0.25, 0.5, 1.0), (0.5, 0.5, 1.0, 0.75), (0.0, 0.0, 1.0, 0.5)]
    objects = [
        {"bbox": tfds.features.BBox(*box), "is_group_of": group, "label": 0}
        for box, group in zip(corners, (0, 1, -1))
    ]
    examples = [{"image": picture(0), "bobjects": objects}]
    prepare_tfds(tmp_path, "open_images", features, {"train": examples})
    (record,) = opened(tmp_path, dataset="open_images").sequence().as_numpy_iterator()
    np.testing.assert_array_equal(record["boxes"], [corners[0], corners[2]])
    assert "(bobjects/is_group_of) are left out" in capsys.readouterr().err
