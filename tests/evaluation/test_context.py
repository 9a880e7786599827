"""Images to report on are never those of training, and their classes are the same."""

import dataclasses
import json

import numpy as np
import pytest

from ssl_tf import command
from ssl_tf import prepare as preparing_command
from ssl_tf.data.sources.source_checks import warn_of_split_folders
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.evaluation.context import EvaluationContext, open_context, open_labelled, open_test
from ssl_tf.evaluation.knn import weighted_knn
from ssl_tf.evaluation.metrics import top_k_accuracy
from ssl_tf.pretraining.dry_run import describe
from ssl_tf.settings import (
    DataSettings,
    EvaluationSettings,
    PrepareSettings,
    PretrainSettings,
    flagfiles,
)
from tests.data.annotations.annotated_files import prepare_tfds
from tests.data.opened import source_of
from tests.data.prepared_tfds import prepare, prepare_several
from tests.data.sources import test_prepared
from tests.data.tiny_images import example, picture, png, write_folder, write_records

CLASSES = ("a", "b", "c")


@pytest.fixture
def noise(tmp_path):
    """Folders train/ and test/ of three classes of pure noise, 20 and 15 images each."""
    for part, first, count in (("train", 0, 20), ("test", 1000, 15)):
        files = {
            f"{name}/{i:02d}.png": png(first + 100 * label + i)
            for label, name in enumerate(CLASSES)
            for i in range(count)
        }
        write_folder(tmp_path / part, files)
    return tmp_path


def opened(*flags):
    return open_labelled(flagfiles.parse(["--checkpoint=RUN", *flags], EvaluationSettings))


def refused(told, *flags):
    with pytest.raises(UserError, match=told) as raised:
        opened(*flags)
    assert "\n" not in str(raised.value)


def pixels_and_labels(source):
    import tensorflow as tf

    records = list(source.sequence().as_numpy_iterator())
    pixels = np.stack([tf.io.decode_png(record["image"]).numpy().ravel() for record in records])
    return pixels.astype(np.float32) - 127.5, np.array([record["label"] for record in records])


def test_test_images_are_turned_beside_train_images_that_are_upright(noise):
    flags = ["--checkpoint=RUN", "--prepared=P", f"--test_image_folder={noise}/test"]
    train = source_of(image_folder=f"{noise}/train")
    for given, orient in (("--orient", True), ("--noorient", False)):
        settings = flagfiles.parse([*flags, given], EvaluationSettings)
        assert open_test(settings, train).orient is orient
    refused("--orient=true: has no effect", "--prepared=P", "--test_split=test", "--orient")


def test_unreadable_images_of_one_name_are_one_in_one_folder_alone(noise):
    train, again = (source_of(image_folder=f"{noise}/train") for _ in range(2))
    flags = [f"--image_folder={noise}/train", f"--test_image_folder={noise}/test"]
    test = open_test(flagfiles.parse(["--checkpoint=RUN", *flags], EvaluationSettings), train)
    again.count_unreadable_with(train)
    for source, count in ((train, 1), (again, 1), (test, 2)):
        source.unreadable.add(b"a/00.png", row=0)
        assert train.unreadable.count == count


def test_a_report_is_not_put_among_those_of_another_run(tmp_path):
    runs = [tmp_path / name for name in ("one", "two")]
    for run in runs:
        run.mkdir()
        flagfiles.write_flagfile(
            flagfiles.parse(["--dataset=scenes"], PretrainSettings), run / "flags.txt"
        )
    for encoder in (f"--checkpoint={runs[0]}", f"--init_encoder={tmp_path}/one/flags.txt"):
        given = [encoder, "--dataset=scenes", f"--output={runs[1]}/linear.json"]
        with pytest.raises(SettingsError, match="two/linear.json: lies in the directory"):
            open_context(flagfiles.parse(given, EvaluationSettings), "linear")
    assert not (runs[1] / "linear.json").exists()


def test_a_folder_of_its_own_is_reported_on_and_noise_is_at_chance(noise):
    train, test = opened(f"--image_folder={noise}/train", f"--test_image_folder={noise}/test")
    assert (train.size, test.size) == (60, 45)
    bank, bank_labels = pixels_and_labels(train)
    queries, labels = pixels_and_labels(test)
    np.testing.assert_array_equal(labels, np.repeat([0, 1, 2], 15))
    np.testing.assert_array_equal(queries[0], picture(1000).ravel() - 127.5)
    # Judged on the bank itself, one neighbour is always right.
    own = weighted_knn(bank, bank_labels, bank, 3, k=1)
    assert top_k_accuracy(own, bank_labels) == 1.0
    top1 = top_k_accuracy(weighted_knn(bank, bank_labels, queries, 3, k=1), labels)
    # 45 guesses at 1/3: a mean of 15 and a standard deviation of 3.2.
    assert abs(45 * top1 - 15) < 3.5 * 3.2


def test_record_files_of_their_own_are_reported_on(tmp_path):
    for name, first, count in (("train", 0, 9), ("test", 100, 6)):
        records = [
            example(image__encoded=png(first + i), image__class__label=i % 3) for i in range(count)
        ]
        write_records(tmp_path / f"{name}.tfrecord", records)
    files = f"--tfrecord={tmp_path}/train.tfrecord"
    train, test = opened(files, f"--test_tfrecord={tmp_path}/test.tfrecord")
    assert (train.size, test.size, test.num_classes) == (9, 6, 3)
    refused("9 images of .* are training images", files, f"--test_tfrecord={tmp_path}/t*n.tfrecord")
    refused("6 images of", f"--tfrecord={tmp_path}/*", f"--test_tfrecord={tmp_path}/test.tfrecord")
    refused("--test_tfrecord=.*missing matches no file", files, "--test_tfrecord=missing")


def test_numbers_beside_names_are_told(tmp_path, capsys):
    records = [example(image__encoded=png(i), image__class__label=i % 2) for i in range(6)]
    write_records(tmp_path / "records", records)
    files = {f"{name}/{n}.png": png(10 + n) for name in ("cat", "dog") for n in range(3)}
    folder = write_folder(tmp_path / "folder", files)
    for flags in (
        (f"--tfrecord={tmp_path}/records", f"--test_image_folder={folder}"),
        (f"--image_folder={folder}", f"--test_tfrecord={tmp_path}/records"),
    ):
        opened(*flags)
        assert "a number is taken for its place among the names: 0 for cat, 1 for dog\n" in (
            capsys.readouterr().err
        )
    opened(f"--tfrecord={tmp_path}/records", "--holdout=2")
    assert "for its place" not in capsys.readouterr().err


def test_the_same_images_by_another_path_are_refused(noise):
    train = f"--image_folder={noise}/train"
    (noise / "link").symlink_to(noise / "train")
    for same in (f"{noise}/train/", f"{noise}/link", f"{noise}/test/../train"):
        refused("60 images of .* are training images", train, f"--test_image_folder={same}")


def test_labels_of_both_record_files_count_from_1(tmp_path):
    for name, first, labels in (("train", 0, [1, 2, 3]), ("test", 100, [1, 2, 2])):
        records = [
            example(image__encoded=png(first + i), image__class__label=label)
            for i, label in enumerate(labels)
        ]
        write_records(tmp_path / f"{name}.tfrecord", records)
    files = (f"--tfrecord={tmp_path}/train.tfrecord", f"--test_tfrecord={tmp_path}/test.tfrecord")
    train, test = opened(*files, "--first_label=1")
    assert [r["label"] for r in train.sequence().as_numpy_iterator()] == [0, 1, 2]
    assert [r["label"] for r in test.sequence().as_numpy_iterator()] == [0, 1, 1]


def test_labels_of_test_records_may_count_from_1_beside_other_train_images(noise, tmp_path):
    records = [
        example(image__encoded=png(200 + i), image__class__label=label)
        for i, label in enumerate([1, 2, 3])
    ]
    write_records(tmp_path / "test.tfrecord", records)
    folder, test = f"--image_folder={noise}/train", f"--test_tfrecord={tmp_path}/test.tfrecord"
    _, read = opened(folder, test, "--first_label=1")
    assert [r["label"] for r in read.sequence().as_numpy_iterator()] == [0, 1, 2]
    refused("only labels of --tfrecord may count from 1", folder, "--first_label=1", "--holdout=3")


def test_copied_images_are_counted(noise, capsys):
    folders = (f"--image_folder={noise}/train", f"--test_image_folder={noise}/test")
    opened(*folders)
    assert "copies" not in capsys.readouterr().err  # names are equal, images are not
    for name in ("a/07.png", "c/03.png"):
        (noise / "test" / name).write_bytes((noise / "train" / name).read_bytes())
    opened(*folders)
    told = capsys.readouterr().err
    assert f"2 of the 45 images of folder {noise}/test are copies" in told
    assert f"such as {noise}/test/a/07.png," in told


def test_copies_across_a_hold_out_are_counted(noise, capsys):
    flags = (f"--image_folder={noise}/train", "--holdout=20")
    opened(*flags)
    assert "copies" not in capsys.readouterr().err
    # Each image twice: of a held-out one that is not beside its copy, the copy is learned from.
    for path in sorted((noise / "train").rglob("*.png")):
        path.with_name(f"copy_{path.name}").write_bytes(path.read_bytes())
    train, test = opened(*flags)
    assert (train.size, test.size) == (100, 20)
    learned = {record["image"] for record in train.sequence().as_numpy_iterator()}
    held_out = [record["image"] for record in test.sequence().as_numpy_iterator()]
    copies = sum(image in learned for image in held_out)
    assert copies > 0
    assert f"{copies} of the 20 images of {test.name} are copies" in capsys.readouterr().err


def test_a_test_on_the_originals_of_prepared_images_is_told(noise, tmp_path, capsys):
    prepared = tmp_path / "prepared"
    flags = [f"--input={noise}/train", f"--output={prepared}", "--min_side=1", "--workers=1"]
    flags.append("--validation_share=0")
    command.run(preparing_command.main, PrepareSettings, flags)
    for folder, is_told in (("train", True), ("test", False)):
        capsys.readouterr()
        opened(f"--prepared={prepared}", f"--test_image_folder={noise}/{folder}")
        told = f"prepared {prepared}:train was made of 60 of the 60 images of folder {noise}/train"
        assert (told in capsys.readouterr().err) == is_told


def test_the_originals_are_known_by_a_list_from_any_directory(noise, tmp_path, capsys, monkeypatch):
    paths = sorted(str(path) for path in (noise / "train").rglob("*.png"))[:-4]
    (tmp_path / "list.txt").write_text("\n".join(paths))
    monkeypatch.chdir(tmp_path)
    flags = ["--input=list.txt", "--output=prepared", "--min_side=1", "--workers=1"]
    flags.append("--validation_share=0")
    command.run(preparing_command.main, PrepareSettings, flags)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    capsys.readouterr()
    opened(f"--prepared={tmp_path / 'prepared'}", f"--test_image_folder={noise}/train")
    assert "was made of 56 of the 60 images of" in capsys.readouterr().err


def test_no_other_split_stands_in_for_a_damaged_one(tmp_path):
    prepare(tmp_path)
    data = ("--dataset=animals", f"--data_dir={tmp_path}")
    train, test = opened(*data)
    assert test.name == "animals:test"
    (damaged,) = tmp_path.glob("animals/*/*-test.tfrecord*")
    damaged.write_bytes(damaged.read_bytes()[:-9])
    refused("test.*is damaged or truncated", *data)


def test_overlapping_slices_are_counted(tmp_path):
    prepare(tmp_path)
    data = ("--dataset=animals", f"--data_dir={tmp_path}")
    train, test = opened(*data, "--split=train[:8]", "--test_split=train[8:]")
    assert (train.size, test.size) == (8, 5)
    refused("2 images of animals", *data, "--split=train[:8]", "--test_split=train[6:]")
    refused("5 images of animals", *data, "--split=train+test", "--test_split=test")


def test_folders_of_splits_are_no_classes(noise, capsys):
    refused("only the folders test, train, which are no classes", f"--image_folder={noise}")
    flags = (f"--image_folder={noise}", "--depth=18", "--width=0.25", "--batch_size=8")
    describe(flagfiles.parse([*flags, "--image_size=16"], PretrainSettings))
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and "only the folders test, train" in error[0]


def test_prepared_folders_of_splits_are_no_classes_either(tmp_path, capsys):
    splits = {"train": [2, 3], "validation": [2, 1]}
    prepared = test_prepared.write(tmp_path, splits, classes=("train", "Val"))
    told = "folders train, Val, which are no classes; prepare train by itself and give the other"
    refused(told, f"--prepared={prepared}")
    data = DataSettings(prepared=prepared)
    warn_of_split_folders(source_of(prepared=prepared), data)
    assert "taken for classes; prepare one of them\n" in capsys.readouterr().err


def test_other_classes_mean_other_labels(noise):
    train = f"--image_folder={noise}/train"
    (noise / "test" / "b").rename(noise / "test" / "d")
    told = r"has other classes than .* \(b, d\)"
    refused(told, train, f"--test_image_folder={noise}/test")


def test_several_labels_an_image_are_not_judged_by_one(tmp_path):
    import tensorflow_datasets as tfds

    names = ["a", "b", "c"]
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "labels": tfds.features.Sequence(tfds.features.ClassLabel(names=names)),
        }
    )
    rows = [{"image": picture(n), "labels": [n % 3, (n + 1) % 3]} for n in range(6)]
    prepare_tfds(tmp_path, "several", features, {"train": rows, "test": rows})
    data = ("--dataset=several", f"--data_dir={tmp_path}")
    train, test = opened(*data)
    assert train.multi_label and test.multi_label
    write_folder(tmp_path / "one", {f"{name}/0.png": png(9) for name in names})
    told = "several:train has any number of labels an image, folder .*one one, so no figure"
    refused(told, *data, f"--test_image_folder={tmp_path}/one")


def test_classes_in_another_order_are_other_labels(tmp_path):
    prepare(tmp_path)
    write_folder(tmp_path / "f", {f"{name}/0.png": png(9) for name in ("cat", "dog", "eel")})
    data = ("--dataset=animals", f"--data_dir={tmp_path}", f"--test_image_folder={tmp_path}/f")
    assert opened(*data)[1].class_names == ("cat", "dog", "eel")
    labels = tmp_path / "animals" / "1.0.0" / "label.labels.txt"
    labels.write_text("eel\ndog\ncat\n")
    refused(r"has other classes than animals:train \(in another order\)", *data)


def test_no_figure_is_of_labels_that_were_guessed(tmp_path):
    prepare_several(tmp_path)
    data = ("--dataset=toys", f"--data_dir={tmp_path}")
    refused("kind, pose, and none is called label; name one by --label_feature$", *data)
    for feature, classes in (("kind", 2), ("pose", 3)):
        train, test = opened(*data, f"--label_feature={feature}")
        assert train.num_classes == test.num_classes == classes
        labels = [record["label"] for record in test.sequence().as_numpy_iterator()]
        np.testing.assert_array_equal(labels, np.arange(6) % classes)
        # The report of one is not that of the other.
        assert test.name == f"toys ({feature}):test"
    pairs = ("--dataset=pairs", f"--data_dir={tmp_path}")
    refused("left, right, and none is called image; name one by --image_feature$", *pairs)
    assert opened(*pairs, "--image_feature=right")[0].name == "pairs (right):train"


def test_a_missing_test_set_recommends_what_the_source_has(noise):
    refused(
        "give --test_image_folder, --test_tfrecord or --holdout=N", f"--image_folder={noise}/train"
    )
    missing = f"--test_image_folder={noise}/missing"
    refused("^--test_image_folder=.*does not exist", f"--image_folder={noise}/train", missing)


@pytest.mark.parametrize("name", ["image_folder", "tfrecord"])
def test_a_source_without_splits_has_no_split(name):
    with pytest.raises(SettingsError, match="only --dataset and --prepared"):
        source_of(**{name: "x"}, split="val")


def test_a_split_whose_labels_are_not_public_is_passed_over(tmp_path, capsys):
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=CLASSES),
        }
    )
    known = [{"image": picture(n), "label": n % 3} for n in range(6)]
    hidden = [{**row, "label": -1} for row in known]
    splits = {"train": known, "test": hidden, "validation": known}
    prepare_tfds(tmp_path, "contest", features, splits)
    data = ("--dataset=contest", f"--data_dir={tmp_path}")
    assert opened(*data)[1].name == "contest:validation"
    assert "contest:test is passed over: its labels are not public" in capsys.readouterr().err
    # Before the work, not after it.
    refused("label -1, .*; give a split whose labels are known$", *data, "--test_split=test")


def test_images_of_one_class_are_not_judged(tmp_path, capsys):
    for part in ("train", "test"):
        write_folder(tmp_path / part, {f"photos/{n}.png": png(n) for n in range(4)})
    folders = f"--image_folder={tmp_path}/train", f"--test_image_folder={tmp_path}/test"
    refused("all images are of one class, so that every guess is right", *folders)
    told = capsys.readouterr().err
    assert "all images lie in the folder photos, which is their one class" in told


def test_a_report_tells_what_it_replaces(noise, tmp_path, capsys):
    path = tmp_path / "knn.json"
    train, test = opened(f"--image_folder={noise}/train", f"--test_image_folder={noise}/test")
    parts = dict(train=train, test=test, facts={}, output=path, reports="knn*.json")
    context = EvaluationContext({}, None, 8, 40, **parts)

    def told(facts, **results):
        dataclasses.replace(context, facts=facts).report(results)
        return capsys.readouterr().out.strip()

    start = f"the encoder is unchanged; result in {path}"
    assert told({"step": 40}, knn_k=200) == start
    assert told({"step": 40}, knn_k=200) == start
    assert told({"step": 80}, knn_k=5) == f"{start}, in the place of that with step 40, knn_k 200"
    told({"step": 80}, seed=0)
    assert told({"step": 80}, seed=1) == f"{start}, in the place of that with seed 0"
    told({"step": 80}, knn_k=5, trained={"encoder_sha256": "a" * 64})
    other = told({"step": 80}, knn_k=5, trained={"encoder_sha256": "b" * 64})
    assert other.endswith(f", in the place of that with encoder_sha256 {'a' * 12}")
    path.write_text("{")
    assert told({"step": 80}, knn_k=5) == f"{start}, in the place of a damaged file"
    assert json.loads(path.read_text()) == {"step": 80, "knn_k": 5}
    context = dataclasses.replace(context, output=tmp_path / "mine.json")
    assert "(compare reads knn*.json of a directory, and not this name)" in told({"step": 80})
