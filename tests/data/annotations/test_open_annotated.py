import json as jsons
from pathlib import Path

import numpy as np
import pytest

from ssl_tf.data.annotations.open_annotated import labelled_share, open_annotated
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.settings import AnnotationSettings, flagfiles
from tests.data.annotations.annotated_files import (
    label_png,
    prepare_tfds,
    read,
    scene_parsing_features,
    voc_example,
    voc_features,
    write_coco,
    write_maps,
    write_voc,
)
from tests.data.prepared_tfds import prepare_several
from tests.data.tiny_images import png

BOX = {"category_id": 3, "bbox": [1, 1, 2, 2]}


def opened(wanted, *flags):
    return open_annotated(flagfiles.parse(flags, AnnotationSettings), wanted)


def ids(source):
    return [example["id"] for example in read(source)]


def test_images_without_an_object_are_learned_from_only_where_a_flag_says_so(tmp_path):
    json, folder = write_coco(tmp_path, [{**BOX, "image_id": 10}, {**BOX, "image_id": 20}])
    flags = (f"--coco_json={json}", f"--image_folder={folder}", f"--test_coco_json={json}")
    train, test = opened("boxes", *flags)
    assert ids(train) == [b"10", b"20"] and ids(test) == [b"0", b"10", b"20"]
    train, test = opened("boxes", *flags, "--keep_empty")
    assert ids(train) == ids(test)
    train.unreadable.add(b"10")
    assert test.unreadable.count == 1


def test_an_image_of_two_ids_is_refused(tmp_path):
    json, folder = write_coco(tmp_path, [{**BOX, "image_id": 10}, {**BOX, "image_id": 20}])
    content = jsons.loads(Path(json).read_text())
    again = {
        **content["images"][1],
        "id": 99,
        "file_name": f"./{content['images'][1]['file_name']}",
    }
    Path(json).write_text(jsons.dumps({**content, "images": [*content["images"], again]}))
    with pytest.raises(UserError, match="1 images are listed twice, such as .*; list each once"):
        opened("boxes", f"--coco_json={json}", f"--image_folder={folder}", "--holdout=1")


def test_labels_of_the_test_alone_are_told_before_the_training(tmp_path):
    labels = np.arange(48).reshape(6, 8) % 4
    images, maps = write_maps(tmp_path / "train", {f"{n:03d}": labels % 3 for n in range(2)})
    # The rare one is not among the maps that a sample would look at.
    others = {f"{n:03d}": labels if n == 1 else labels % 3 for n in range(130)}
    test_images, test_maps = write_maps(tmp_path / "test", others)
    flags = [
        f"--image_folder={images}", f"--label_maps={maps}",
        f"--test_image_folder={test_images}", f"--test_label_maps={test_maps}",
    ]  # fmt: skip
    with pytest.raises(UserError, match="has the label 3, and there are 3 classes, from 0"):
        opened("label_maps", *flags)
    assert opened("label_maps", *flags, "--num_classes=4")[1].num_classes == 4


def test_a_list_of_the_test_is_named_by_its_flag(tmp_path):
    directory = write_voc(tmp_path / "VOC2012", {"1": [("dog", 1, 1, 4, 4, False)]})
    with pytest.raises(UserError, match="by --test_voc_list a list that it has"):
        opened("boxes", f"--voc_dir={directory}", "--voc_list=trainval", "--test_voc_list=val")


def test_scenes_and_a_share_of_them(tmp_path):
    flags = ("--dataset=scenes", "--scenes=40", "--scene_size=24")
    train, test = opened("label_maps", *flags)
    assert (train.size, test.size, train.num_classes) == (40, 10, 11)
    shares = []
    for fraction in (0.1, 0.5, 1.0):
        given = (*flags, f"--label_fraction={fraction}")
        share = flagfiles.parse(given, AnnotationSettings).share
        shares.append(labelled_share(train, share, tmp_path / f"{fraction}.txt"))
    small, large, whole = map(ids, shares)
    assert (len(small), len(large), len(whole)) == (4, 20, 40)
    assert {*small} < {*large} < {*whole}
    lines = (tmp_path / "0.1.txt").read_bytes().splitlines()
    assert lines[1:] == small and b"10 % of all images, seed 0" in lines[0]
    assert shares[2] is train and not (tmp_path / "1.0.txt").exists()


def test_scenes_whose_classes_were_guessed_are_of_one_class(tmp_path):
    prepare_several(tmp_path)
    flags = ("--dataset=scenes", "--scenes=8", "--scene_size=24", f"--data_dir={tmp_path}")
    toys = (*flags, "--scene_objects=toys")
    with pytest.raises(SettingsError, match="label; give --one_class, or other --scene_objects$"):
        opened("boxes", *toys)
    assert opened("boxes", *toys, "--one_class")[0].num_classes == 1
    with pytest.raises(SettingsError, match="called image; give other --scene_objects$"):
        opened("boxes", *flags, "--scene_objects=pairs", "--one_class")


def test_what_a_set_does_not_hold_is_refused(tmp_path):
    maps = write_maps(tmp_path, {"a": np.zeros((6, 8)), "b": np.ones((6, 8))})
    flags = (f"--image_folder={maps[0]}", f"--label_maps={maps[1]}", "--holdout=1")
    assert [part.size for part in opened("label_maps", *flags)] == [1, 1]
    with pytest.raises(SettingsError, match="has label maps and no objects"):
        opened("boxes", *flags)
    voc = write_voc(tmp_path / "VOC", {"a": [("dog", 1, 1, 2, 2, False)]}, name="test")
    with pytest.raises(SettingsError, match="has boxes and no masks"):
        opened("masks", f"--voc_dir={voc}", "--voc_list=test")
    with pytest.raises(UserError, match="no image has an object"):
        write_voc(tmp_path / "VOC", {"a": []}, name="test")
        opened("boxes", f"--voc_dir={voc}", "--voc_list=test")


def test_parts_of_different_sets_are_refused(tmp_path):
    json, folder = write_coco(tmp_path / "one", [{**BOX, "image_id": 0}])
    other, images = write_coco(tmp_path / "two", [], categories=(3, 8))
    with pytest.raises(SettingsError, match="other classes .*: kind7, kind8"):
        opened(
            "boxes",
            f"--coco_json={json}",
            f"--image_folder={folder}",
            f"--test_coco_json={other}",
            f"--test_image_folder={images}",
        )
    with pytest.raises(UserError, match="--test_coco_json=.* are not in --test_image_folder="):
        opened(
            "boxes",
            f"--coco_json={json}",
            f"--image_folder={folder}",
            f"--test_coco_json={other}",
            f"--test_image_folder={tmp_path}",
        )


@pytest.mark.parametrize(
    "flags, told",
    [
        ((), "no annotated images"),
        (("--coco_json=A", "--image_folder=B"), "no images to report on"),
        (("--coco_json=A", "--holdout=1"), "give --image_folder"),
        (("--dataset=scenes", "--voc_dir=V"), "--dataset and --voc_dir: give one"),
        (("--dataset=scenes", "--num_classes=3"), "there is no --label_maps"),
        (("--voc_dir=V", "--test_split=test"), "has no splits"),
        (("--voc_dir=V", "--holdout=2", "--test_voc_list=val"), "--holdout=2 gives"),
        (("--dataset=scenes", "--image_folder=F"), "has images of its own"),
        (("--dataset=scenes", "--label_seed=3"), "draws no share"),
    ],
)
def test_flags_that_cannot_work(flags, told):
    with pytest.raises(SettingsError, match=told):
        flagfiles.parse(flags, AnnotationSettings)


def test_training_images_are_not_reported_on_but_the_whole_set_is_told(tmp_path, capsys):
    objects = {name: [("dog", 1, 1, 2, 2, False)] for name in "abc"}
    voc = write_voc(tmp_path / "VOC", objects)
    write_voc(tmp_path / "VOC", {"b": objects["b"]}, name="val")
    with pytest.raises(SettingsError, match="1 images of VOC .*:val are training images"):
        opened("boxes", f"--voc_dir={voc}", "--test_voc_list=val")
    train, test = opened("boxes", f"--voc_dir={voc}", "--test_voc_list=trainval")
    assert (train.size, test.size) == (3, 3)
    assert "trainval is what is learned from" in capsys.readouterr().err


@pytest.mark.parametrize("wanted", ["boxes", "masks", "label_maps"])
def test_images_without_any_object_are_neither_learned_nor_reported_on(tmp_path, wanted):
    square = {**BOX, "image_id": 0, "segmentation": [[1, 1, 3, 1, 3, 3, 1, 3]]}
    good, folder = write_coco(tmp_path / "good", [square])
    crowd = {**square, "iscrowd": 1}
    for name, found in (("none", []), ("crowds", [crowd])):
        bare, images = write_coco(tmp_path / name, found)
        test = (f"--test_coco_json={bare}", f"--test_image_folder={images}")
        with pytest.raises(UserError, match=f"{bare}: no image has an object; .*--test_coco_json$"):
            opened(wanted, f"--coco_json={good}", f"--image_folder={folder}", *test)
        train = (f"--coco_json={bare}", f"--image_folder={images}", "--keep_empty")
        test = (f"--test_coco_json={good}", f"--test_image_folder={folder}")
        with pytest.raises(UserError, match=f"{bare}: no image has an object; correct the annota"):
            opened(wanted, *train, *test)


def test_a_test_split_without_objects_is_refused(tmp_path):
    one = [(2, (0.0, 0.25, 0.5, 1.0), False)]
    splits = {
        "train": [voc_example(0, one)],
        "validation": [voc_example(1, one)],
        "test": [voc_example(2, [])],
    }
    prepare_tfds(tmp_path, "coco", voc_features(), splits, config="2017")
    flags = ("--dataset=coco/2017", f"--data_dir={tmp_path}")
    with pytest.raises(UserError, match="2017:test.*: no image has an object; .*--test_split$"):
        opened("boxes", *flags)
    assert opened("boxes", *flags, "--test_split=validation")[1].size == 1


@pytest.mark.parametrize("count", [149, 151])
def test_as_many_names_as_classes(tmp_path, count):
    (tmp_path / "names").write_text("\n".join(f"kind {n}" for n in range(count)))
    names = f"--label_names={tmp_path / 'names'}"
    (tmp_path / "a.png").write_bytes(png(0))
    (tmp_path / "map.png").write_bytes(label_png(np.ones([6, 8])))
    row = {"image": str(tmp_path / "a.png"), "annotation": str(tmp_path / "map.png")}
    splits = {"train": [row], "test": [row]}
    prepare_tfds(tmp_path, "scene_parse150", scene_parsing_features(), splits)
    flags = ("--dataset=scene_parse150", f"--data_dir={tmp_path}")
    with pytest.raises(SettingsError, match=f"150 classes, but {count} names; .*--label_names"):
        opened("label_maps", *flags, names)
    assert opened("label_maps", *flags)[0].num_classes == 150
    maps = write_maps(tmp_path, {"a": np.zeros((6, 8)), "b": np.ones((6, 8))})
    flags = (f"--image_folder={maps[0]}", f"--label_maps={maps[1]}", "--holdout=1")
    with pytest.raises(SettingsError, match=f"150 classes, but {count} names"):
        opened("label_maps", *flags, names, "--num_classes=150")
    assert opened("label_maps", *flags, names)[0].num_classes == count
