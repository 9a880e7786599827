"""Each data set has its own report, and the run's own has the plain name."""

import json

import pytest

from ssl_tf.evaluation.report_names import report_file
from ssl_tf.settings import DataSettings, flagfiles


def data(*flags):
    return flagfiles.parse(flags, DataSettings)


@pytest.mark.parametrize(
    "flags, name",
    [
        (["--dataset=cifar10", "--split=train[:50%]", "--holdout=9"], "knn.json"),
        (["--dataset=cifar100"], "knn_cifar100.json"),
        (["--dataset=imagenet2012_subset/1pct"], "knn_imagenet2012_subset_1pct.json"),
        (["--dataset=scenes"], "knn_scenes.json"),
        (["--dataset=scenes", "--scene_objects=cifar10"], "knn_scenes_of_cifar10.json"),
    ],
)
def test_another_data_set_stands_behind_the_stage(tmp_path, flags, name):
    own = data("--dataset=cifar10")
    assert report_file(tmp_path, "knn", data(*flags), own, "x") == tmp_path / name


def test_a_list_of_labels_of_imagenet_is_of_its_images(tmp_path):
    own, some = data("--dataset=imagenet2012"), data("--dataset=imagenet2012_subset/1pct")
    found = report_file(tmp_path, "finetune_1pct", some, own, "x")
    assert found == tmp_path / "finetune_1pct.json"


def test_a_folder_is_the_runs_own_by_any_path_and_others_that_end_alike_are_told_apart(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    own = data(f"--image_folder={tmp_path / 'one' / 'train'}")
    same = data(f"--image_folder={tmp_path / 'link' / 'one' / 'train'}")
    assert report_file(tmp_path, "linear", same, own, "x").name == "linear.json"
    others = {
        report_file(tmp_path, "linear", data(f"--{flag}={tmp_path / name / 'train'}"), own, "").name
        for flag in ("image_folder", "tfrecord")
        for name in ("two", "three")
    }
    assert len(others) == 2 and all(name.startswith("linear_train-") for name in others)


def test_reports_of_other_test_images_stay(tmp_path):
    own = data("--dataset=cifar10")

    def report(test):
        path = report_file(tmp_path, "knn", own, own, test)
        path.write_text(json.dumps({"test": test}))
        return path.name

    other = "knn_cifar10_train_9_held_out_9_images.json"
    names = [report(test) for test in ("a", "cifar10:train, 9 held out, 9 images", "a")]
    assert names == ["knn.json", other, "knn.json"]
    # What tells no test images, or is damaged, is replaced as ever.
    for text in ("{}", "[]", "{", "\udc80"):
        (tmp_path / "knn.json").write_bytes(text.encode("utf-8", "surrogatepass"))
        assert report_file(tmp_path, "knn", own, own, "b").name == "knn.json"
