"""Test images that a run has learned from are told, or refused if it has learned their labels."""

import pytest

from ssl_tf.data.sources.opening import open_source, open_training_source
from ssl_tf.errors import SettingsError
from ssl_tf.evaluation.learned_images import check_learned_images
from ssl_tf.settings import EvaluationSettings, PretrainSettings, flagfiles
from tests.data.tiny_images import png, write_folder

RUN = "RUN"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of 30 images."""
    files = {f"{name}/{n:02d}.png": png(n) for name in "ab" for n in range(30)}
    return write_folder(tmp_path_factory.mktemp("images"), files)


def checked(run_flags, flags, test):
    trained = flagfiles.parse(run_flags, PretrainSettings)
    data = flagfiles.parse([f"--checkpoint={RUN}", *flags], EvaluationSettings).data
    test = test or open_training_source(data)[1]
    return check_learned_images(RUN, trained, data, test), test


def test_a_hold_out_of_another_size_is_counted_image_by_image(folder, capsys):
    images = f"--image_folder={folder}"
    learned, _ = open_source(image_folder=folder).hold_out(6)
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
    scenes = open_source(dataset="scenes", split="test", scenes=16, scene_size=24)
    capsys.readouterr()
    assert checked([images, "--holdout=6"], [images, "--holdout=6"], None)[0] == 0
    assert checked([images], [f"--image_folder={other}"], open_source(image_folder=other))[0] == 0
    assert checked([images], ["--dataset=scenes"], scenes)[0] == 0
    assert checked(["--image_folder=gone"], [images], open_source(image_folder=folder))[0] == 0
    of_scenes = ["--dataset=scenes", "--scenes=16", "--scene_size=24"]
    assert checked([*of_scenes, "--holdout=4"], of_scenes, scenes)[0] == 0
    assert RUN not in capsys.readouterr().err


def test_labels_that_were_learned_are_refused(folder):
    images = f"--image_folder={folder}"
    with pytest.raises(SettingsError, match=r"with their labels; .* by --holdout=6") as raised:
        checked([images, "--holdout=6", "--method=supervised"], [images, "--holdout=20"], None)
    assert "\n" not in str(raised.value)
