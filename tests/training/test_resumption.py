import json
import shutil

import pytest

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.locks import exclusive
from ssl_tf.training.resumption import training_directory
from tests.data.opened import source_of
from tests.data.tiny_images import png, write_folder


def test_a_second_start_of_a_training_is_refused(tmp_path):
    with training_directory(tmp_path / "trained", {"seed": "0"}, {}):
        with pytest.raises(UserError, match="trained is in use by process"):
            with training_directory(tmp_path / "trained", {"seed": "0"}, {}):
                pass
    with exclusive(tmp_path / "trained"), pytest.raises(UserError, match="is in use"):
        with training_directory(tmp_path / "trained", {"seed": "0"}, {}):
            pass


def test_a_training_of_other_settings_is_refused_and_named(tmp_path):
    with training_directory(tmp_path / "trained", {"seed": "0"}, {}):
        pass
    with pytest.raises(SettingsError, match="seed=0 there, 1 here"):
        with training_directory(tmp_path / "trained", {"seed": "1"}, {}):
            pass
    (tmp_path / "thesis.txt").touch()
    for path in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(SettingsError, match="out of the way"):
            with training_directory(path, {"seed": "0"}, {}):
                pass
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["thesis.txt", "trained"]


def test_flags_of_the_images_are_part_of_a_training_and_an_earlier_one_gets_them(tmp_path):
    """An earlier version did not record them: it is found where its own record fits."""

    def go(path, **reading):
        with training_directory(path, {"--seed": "0"}, {}, reading):
            return json.loads((path / "identity.json").read_text())

    assert go(tmp_path / "new", orient="true") == {"--orient": "true", "--seed": "0"}
    for path in (tmp_path / "new", tmp_path / "earlier"):
        path.mkdir(exist_ok=True)
        if path.name == "earlier":
            (path / "identity.json").write_text('{"--seed": "0"}')
        assert go(path, orient="true") == {"--orient": "true", "--seed": "0"}
        with pytest.raises(SettingsError, match="--orient=true there, false here"):
            go(path, orient="false")


def test_images_may_move_once_a_record_tells_them_from_others(tmp_path, capsys):
    def go(place, **other):
        source = source_of(image_folder=str(tmp_path / place))
        reading = {"image_folder": str(tmp_path / place), "prepared": "", **other}
        with training_directory(tmp_path / "trained", {"seed": "0"}, {"train": source}, reading):
            return json.loads((tmp_path / "trained" / "identity.json").read_text())

    write_folder(tmp_path / "there", {f"a/{n}.png": png(n) for n in range(3)})
    go("there")
    shutil.copytree(tmp_path / "there", tmp_path / "here")
    with pytest.raises(SettingsError, match=r"of other settings \(--prepared= there, b here\)"):
        go("here", prepared="b")
    found = go("here")
    assert found["--image_folder"] == str(tmp_path / "here") and "here" in found["train"]
    for count in (1, 0):
        assert capsys.readouterr().err.count("trained: its images are now ") == count
        go("here")
    (tmp_path / "there" / "a" / "1.png").unlink()
    with pytest.raises(UserError, match="train images .*count 3 there, 2 here"):
        go("there")


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xfe", b"\xff\xfe{\x00}\x00", b"{", b"[]", b"3", b"null", b"[" * 100_000]
)
def test_a_damaged_identity_is_one_line_with_its_remedy(tmp_path, content):
    (tmp_path / "identity.json").write_bytes(content)
    with pytest.raises(UserError, match="identity.json is damaged.*; remove .* to train anew"):
        with training_directory(tmp_path, {"seed": "0"}, {}):
            pass
