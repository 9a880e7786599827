import dataclasses

import pytest

from ssl_tf.errors import SettingsError
from ssl_tf.locks import LOCK
from ssl_tf.settings import EmbedSettings, flagfiles
from ssl_tf.settings.fields import setting
from ssl_tf.training.output_directory import check_output, open_output


@dataclasses.dataclass(frozen=True)
class Settings:
    output: str = setting("", "Directory.", affects_result=False)
    size: int = setting(3, "Size.")
    workers: int = setting(1, "Workers.", affects_result=False)


def test_a_directory_is_opened_again_by_the_same_flags_alone(tmp_path):
    output = str(tmp_path / "a" / "out")
    assert not check_output(Settings(output), "thing")
    open_output(Settings(output), "thing", "make")
    flags = (tmp_path / "a" / "out" / "flags.txt").read_text()
    assert flags.startswith("# python -m ssl_tf.make --flagfile=")
    assert check_output(Settings(output, workers=7), "thing")
    open_output(Settings(output, workers=7), "thing", "make")
    assert (tmp_path / "a" / "out" / "flags.txt").read_text() == flags
    told = r"made with other flags \(--size=3 there, 4 here\); give these, another --output, or rem"
    with pytest.raises(SettingsError, match=told):
        open_output(Settings(output, size=4), "thing", "make")


def test_data_may_move_once_they_are_recorded(tmp_path):
    output = tmp_path / "out"

    def of(*flags):
        return flagfiles.parse(["--encoder=run", f"--output={output}", *flags], EmbedSettings)

    open_output(of("--image_folder=there"), "thing", "make")
    with pytest.raises(SettingsError, match="--image_folder=there there, here here"):
        check_output(of("--image_folder=here"), "thing")
    (output / "data.json").write_text('{"embedded": {"sha256": "a", "details": "b"}}')
    assert check_output(of("--image_folder=here"), "thing")
    with pytest.raises(SettingsError, match="--image_folder=there there"):
        check_output(of("--prepared=here"), "thing")
    with pytest.raises(SettingsError, match="--image_size=0 there, 32 here"):
        check_output(of("--image_folder=here", "--image_size=32"), "thing")


def test_what_a_kill_leaves_is_no_other_thing(tmp_path):
    for name in (LOCK, "flags.txt.writing"):
        (tmp_path / name).touch()
    assert not check_output(Settings(str(tmp_path)), "thing")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SettingsError, match="exists and is no thing; give a new directory"):
        check_output(Settings(str(tmp_path)), "thing")
    with pytest.raises(SettingsError, match="is no thing"):
        check_output(Settings(str(tmp_path / "notes.txt")), "thing")
