"""Test images that a run has learned from are told, or refused if it has learned their labels."""

import dataclasses
from pathlib import Path

import pytest

from ssl_tf import command, prepare
from ssl_tf.data.annotations.open_annotated import open_annotated
from ssl_tf.data.annotations.voc_directory import VocObjects
from ssl_tf.data.sources.opening import open_training_source
from ssl_tf.errors import SettingsError
from ssl_tf.files import write_json
from ssl_tf.settings import (
    AnnotationSettings,
    EvaluationSettings,
    PrepareSettings,
    PretrainSettings,
    flagfiles,
)
from ssl_tf.training import learned_images
from ssl_tf.training.data_record import digest_data
from ssl_tf.training.learned_images import check_learned_images, entry_of_learned
from tests.data.annotations.annotated_files import write_voc
from tests.data.opened import source_of
from tests.data.tiny_images import png, write_folder

RUN = "RUN"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of 30 images."""
    files = {f"{name}/{n:02d}.png": png(n) for name in "ab" for n in range(30)}
    return write_folder(tmp_path_factory.mktemp("images"), files)


def checked(run_flags, flags, test, run=Path(RUN)):
    trained = flagfiles.parse(run_flags, PretrainSettings)
    data = flagfiles.parse([f"--checkpoint={RUN}", *flags], EvaluationSettings).data
    train, held_out = open_training_source(data)
    test = test or held_out
    return check_learned_images(run, trained, test, data, train), test


def test_a_hold_out_of_another_size_is_counted_image_by_image(folder, capsys):
    images = f"--image_folder={folder}"
    learned, _ = source_of(image_folder=folder).hold_out(6)
    ids = set(learned.ids().as_numpy_iterator())
    count, test = checked([images, "--holdout=6"], [images, "--holdout=20"], None)
    assert count == len(ids & set(test.ids().as_numpy_iterator())) > 12
    (told,) = (line for line in capsys.readouterr().err.splitlines() if RUN in line)
    assert told.startswith(f"warning: RUN has learned from {count} of the 20 images of folder ")
    assert "without their labels" in told and told.count("--holdout=6") == 1


def test_a_run_without_hold_out_has_seen_all(folder, capsys):
    images = f"--image_folder={folder}"
    assert checked([images], [images, "--holdout=20"], None)[0] == 20
    assert "another split or folder" in capsys.readouterr().err


def test_the_same_hold_out_and_other_images_say_nothing(folder, tmp_path, capsys):
    images = f"--image_folder={folder}"
    other = write_folder(tmp_path / "other", {"a/00.png": png(0), "b/00.png": png(1)})
    scenes = source_of(dataset="scenes", split="test", scenes=16, scene_size=24)
    capsys.readouterr()
    assert checked([images, "--holdout=6"], [images, "--holdout=6"], None)[0] == 0
    assert checked([images], [f"--image_folder={other}"], source_of(image_folder=other))[0] == 0
    of_scenes = ["--dataset=scenes", "--scenes=16", "--scene_size=24"]
    assert checked([images], of_scenes, scenes)[0] == 0
    assert checked([*of_scenes, "--holdout=4"], of_scenes, scenes)[0] == 0
    assert RUN not in capsys.readouterr().err


def test_warnings_of_the_images_of_the_run_are_not_repeated(folder, tmp_path, capsys):
    odd = write_folder(
        tmp_path / "odd", {"a/0.png": png(0), "b/1.png": png(1), "loose.png": png(2)}
    )
    other = write_folder(tmp_path / "other", {"a/00.png": png(0), "b/00.png": png(1)})
    source_of(image_folder=odd)
    assert str(odd) in capsys.readouterr().err
    checked([f"--image_folder={odd}"], [f"--image_folder={other}"], source_of(image_folder=other))
    assert str(odd) not in capsys.readouterr().err


def test_labels_that_were_learned_are_refused(folder):
    images = f"--image_folder={folder}"
    with pytest.raises(SettingsError, match=r"with their labels; .* by --holdout=6") as raised:
        checked([images, "--holdout=6", "--method=supervised"], [images, "--holdout=20"], None)
    assert "\n" not in str(raised.value)


def test_images_that_cannot_be_opened_any_more_are_told(folder, capsys):
    test = source_of(image_folder=folder)
    assert checked(["--image_folder=gone"], [f"--image_folder={folder}"], test)[0] == 0
    (told,) = (line for line in capsys.readouterr().err.splitlines() if RUN in line)
    assert "the images of RUN cannot be opened here" in told and "gone" in told


def test_a_folder_that_has_grown_has_another_hold_out(tmp_path, capsys):
    """Which images were held out then is not known any more."""
    images = write_folder(tmp_path / "images", {f"a/{n:02d}.png": png(n) for n in range(30)})
    flags = [f"--image_folder={images}", "--holdout=6"]
    train, _ = source_of(image_folder=images).hold_out(6)
    write_json(tmp_path / "data.json", {"training": dataclasses.asdict(digest_data(train))})
    assert checked(flags, flags, None, tmp_path)[0] == 0
    assert "learned from" not in capsys.readouterr().err
    write_folder(tmp_path / "images", {"a/30.png": png(30)})
    assert checked(flags, flags, None, tmp_path)[0] == "an unknown number"
    told = capsys.readouterr().err
    assert "has learned from an unknown number of the 6 images of" in told
    assert "its data has changed since then" in told and "another folder or data set" in told
    with pytest.raises(SettingsError, match="with their labels; .* by another folder or data set"):
        checked([*flags, "--method=supervised"], flags, None, tmp_path)


def test_prepared_images_and_their_originals_are_the_same(folder, tmp_path, capsys):
    """One file is left out as a copy of another: what was learned of that was learned of it."""
    images = write_folder(tmp_path / "images", {f"a/{n:02d}.png": png(n) for n in range(30)})
    write_folder(tmp_path / "images", {"a/copy.png": png(7)})
    small, large = tmp_path / "small", tmp_path / "large"
    for output, share, encoding in ((small, 0, "raw"), (large, 0.2, "jpeg")):
        given = [f"--input={images}", f"--output={output}", "--min_side=1", "--workers=1"]
        given += [f"--validation_share={share}", f"--encoding={encoding}"]
        command.run(prepare.main, PrepareSettings, given)
    originals = source_of(image_folder=images)
    of_small, of_folder, of_large = (
        f"--prepared={small}", f"--image_folder={images}", f"--prepared={large}"
    )  # fmt: skip
    assert checked([of_small], [of_folder], originals)[0] == 31
    assert checked([of_large], [of_folder], originals)[0] in (24, 25)
    assert checked([of_folder], [of_small, "--holdout=5"], None)[0] == 5
    assert checked([of_small], [of_large, "--holdout=5"], None)[0] == 5
    validation = source_of(prepared=str(large), split="validation")
    assert checked([of_large], [of_large, "--test_split=validation"], validation)[0] == 0
    assert checked([f"--image_folder={folder}"], [of_small, "--holdout=5"], None)[0] == 0
    told = f"has learned from 31 of the 31 images of folder {images}"
    assert told in capsys.readouterr().err


def test_the_runs_that_a_run_began_from_count(folder, tmp_path, capsys):
    images, other = f"--image_folder={folder}", write_folder(tmp_path / "x", {"a/0.png": png(90)})
    first = tmp_path / "first"
    (first / "checkpoints").mkdir(parents=True)
    flagfiles.write_flagfile(
        flagfiles.parse([images, f"--init_from={first}"], PretrainSettings), first / "flags.txt"
    )
    test = source_of(image_folder=folder)
    for start in (first, first / "checkpoints" / "ckpt-7"):
        second = [f"--image_folder={other}", f"--init_from={start}"]
        assert checked(second, [f"--image_folder={other}"], test)[0] == 60
        assert f"{first} has learned from 60 of the 60 images" in capsys.readouterr().err
    second = [f"--image_folder={other}", "--init_from=gone"]
    assert checked(second, [f"--image_folder={other}"], test)[0] == 0
    assert "RUN began from gone, which is not here" in capsys.readouterr().err


def test_downstream_stages_count_what_both_of_their_runs_have_learned(tmp_path, capsys):
    """They read the same images as sources of their own, with annotations."""
    _, test = open_annotated(
        flagfiles.parse(
            ["--dataset=scenes", "--scenes=16", "--scene_size=24", "--holdout=6"],
            AnnotationSettings,
        ),
        "boxes",
    )

    def run(name, *flags):
        (tmp_path / name).mkdir()
        given = ["--scenes=16", "--scene_size=24", *flags]
        flagfiles.write_flagfile(
            flagfiles.parse(given, PretrainSettings), tmp_path / name / "flags.txt"
        )
        return str(tmp_path / name)

    scenes = "--dataset=scenes"
    ours = run("ours", scenes)
    apart = run("apart", scenes, "--holdout=6")
    assert entry_of_learned([ours, ""], test) == {"test_images_learned_from": 6}
    assert "ours has learned from 6 of the 6 images of scenes:train, " in capsys.readouterr().err
    assert entry_of_learned([apart, ""], test) == {} == entry_of_learned(["", ""], test)
    assert capsys.readouterr().err == ""
    labels = ["--method=supervised", "--recipe=moco", "--view_strategies=plain"]
    of_labels, of_others = run("labels", scenes, *labels), run("o", scenes, "--holdout=6", *labels)
    assert entry_of_learned([ours, of_others], test) == {"test_images_learned_from": 6}
    with pytest.raises(SettingsError, match="labels has learned from 6 .* with their labels"):
        entry_of_learned([ours, of_labels], test)
    assert entry_of_learned([str(tmp_path / "gone")], test) == {}
    assert "gone is not here: whether it has learned" in capsys.readouterr().err


def test_files_with_annotations_are_those_of_a_folder(tmp_path, capsys):
    voc = write_voc(tmp_path / "VOC", {name: [("dog", 1, 1, 4, 4, False)] for name in "abc"})
    test, few = VocObjects([voc], ["trainval"]), ["--dataset=scenes", "--scenes=16"]
    assert checked([f"--image_folder={voc}/JPEGImages"], few, test)[0] == 3
    # Behind a folder that is a link, too.
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/a").symlink_to(f"{voc}/JPEGImages")
    assert checked([f"--image_folder={tmp_path}/linked"], few, test)[0] == 3


def test_images_that_cannot_hold_the_test_images_are_not_opened(tmp_path, monkeypatch, capsys):
    """Of records and scenes that would take minutes; what is gone and may hold them is told."""
    voc = write_voc(tmp_path / "VOC", {"a": [("dog", 1, 1, 4, 4, False)]})
    test = VocObjects([voc], ["trainval"])
    opened = []
    monkeypatch.setattr(
        learned_images, "open_training_source", lambda data: (opened.append(data), source_of())
    )
    for flags in (["--dataset=scenes"], ["--tfrecord=none"]):
        trained = flagfiles.parse(flags, PretrainSettings)
        assert check_learned_images(Path(RUN), trained, test) == 0
    assert opened == [] and RUN not in capsys.readouterr().err
    trained = flagfiles.parse(["--image_folder=gone"], PretrainSettings)
    assert check_learned_images(Path(RUN), trained, test) == 0 and len(opened) == 1
    assert "the images of RUN cannot be opened here" in capsys.readouterr().err
