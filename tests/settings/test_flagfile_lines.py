"""Flagfiles: what they may contain, and one line for those that are none."""

import os
import threading

import pytest

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.settings import (
    DetectSettings,
    DiscoverSettings,
    EmbedSettings,
    PrepareSettings,
    PretrainSettings,
    SegmentSettings,
    fields,
    flagfile_lines,
    flagfiles,
)
from ssl_tf.settings.flagfile_lines import expand
from ssl_tf.training.run_directory import read_settings

FLAGS = "--dataset=scenes\n--run_dir=läufe\n"


def test_lines_stand_in_the_place_of_the_file_and_comments_are_left_out(tmp_path):
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.write_bytes(b"\r\n  --epochs=3\r\n// a remark\r\n")
    outer.write_text(f"# a remark\n--seed=1\n--flagfile={inner}\n\n--seed=2")
    given = ["--a=1", f"-flagfile={outer}", "--flagfile", str(inner), "--flagfile=", "--b=2"]
    assert list(expand(given)) == [
        "--a=1", "--seed=1", "--epochs=3", "--seed=2", "--epochs=3", "--b=2",
    ]  # fmt: skip


def test_shipped_flagfiles_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "--dataset=scenes" in expand(["--flagfile=configs/quickstart.flags"])
    # A file of one's own comes first, and other names are not looked for.
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "quickstart.flags").write_text("--seed=5")
    assert list(expand(["--flagfile=configs/quickstart.flags"])) == ["--seed=5"]
    for missing in ("quickstart.flags", "other/configs/quickstart.flags", "configs/no.flags"):
        with pytest.raises(SettingsError, match="No such file"):
            list(expand([f"--flagfile={missing}"]))


def test_an_installed_package_has_its_flagfiles_inside(tmp_path, monkeypatch):
    monkeypatch.setattr(flagfile_lines, "_PACKAGE", str(tmp_path / "ssl_tf"))
    assert flagfile_lines.shipped("a.flags") == str(tmp_path / "configs" / "a.flags")
    (tmp_path / "ssl_tf" / "configs").mkdir(parents=True)
    assert flagfile_lines.shipped("a.flags") == str(tmp_path / "ssl_tf" / "configs" / "a.flags")


def test_a_pipe_of_the_shell_is_read(tmp_path):
    reading, writing = os.pipe()
    os.write(writing, b"--seed=3\n")
    os.close(writing)
    assert list(expand([f"--flagfile=/dev/fd/{reading}"])) == ["--seed=3"]
    os.close(reading)


BAD = {
    "latin-1": (FLAGS.encode("latin-1"), "is not in UTF-8 (byte 28 is 0xe4)"),
    "UTF-16": (FLAGS.encode("utf-16"), "is in UTF-16"),
    "UTF-16, big end first": (b"\xfe\xff" + FLAGS.encode("utf-16-be"), "is in UTF-16"),
    "UTF-16 without a mark": ("--seed=1\n".encode("utf-16-le"), "holds the character 0"),
    "a byte order mark": (FLAGS.encode("utf-8-sig"), "begins with a byte order mark"),
    "binary": (bytes(range(256)), "is not in UTF-8"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00", "is not in UTF-8 (byte 0 is 0x89)"),
    "zeros": (bytes(64), "holds the character 0"),
    "an escape sequence": (b"--dataset=\x1b[31mred\n", "holds the character 27"),
    "large": (b"#" * (2**20 + 1), "is larger than a flagfile can be"),
    "itself": (b"--flagfile={path}", "names itself"),
    "a stray word": (b"word\n", "unexpected argument 'word'"),
    "an unknown flag": (b"--sede=3\n", "'sede'"),
    "a list without end": (b"--flagfile", "give a file"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_flagfile_is_one_line_that_names_it(name, tmp_path):
    content, told = BAD[name]
    path = tmp_path / "flags.txt"
    path.write_bytes(content.replace(b"{path}", str(path).encode()))
    with pytest.raises(SettingsError) as raised:
        flagfiles.parse(["--dataset=scenes", f"--flagfile={path}"], PretrainSettings)
    assert told in str(raised.value) and str(raised.value).isprintable()
    with pytest.raises(UserError) as raised:
        read_settings(tmp_path)
    assert told in str(raised.value) and str(path) in str(raised.value)
    if told.startswith(("is ", "begins", "holds")):
        assert "write the file again as UTF-8 text" in str(raised.value)


@pytest.mark.parametrize("kind", ["a directory", "a pipe", "a device", "missing"])
def test_what_is_no_file_is_refused_at_once(kind, tmp_path):
    path = tmp_path / "flags"
    if kind == "a directory":
        path.mkdir()
    if kind == "a pipe":
        os.mkfifo(path)
    if kind == "a device":
        path = "/dev/zero"
    found = []

    def read():
        with pytest.raises(SettingsError, match=f"^--flagfile={path}") as raised:
            list(expand([f"--flagfile={path}"]))
        found.append(str(raised.value))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(20)
    assert len(found) == 1 and "\n" not in found[0]


def test_the_flags_of_a_run_continue_it_from_any_directory_and_where_it_was_moved(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    (run / "flags.txt").write_text("--epochs=3\n--run_dir=runs/one\n")
    (run / "environment.json").write_text("[]")
    given = [f"--flagfile={run}/flags.txt", "--seed=1"]
    # As it was typed where that is the place.
    assert list(expand(given)) == ["--epochs=3", "--run_dir=runs/one", "--seed=1"]
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert list(expand(given)) == ["--epochs=3", f"--run_dir={run}", "--seed=1"]
    moved = run.rename(tmp_path / "sub" / "two")
    assert list(expand(["--flagfile=two/flags.txt"])) == ["--epochs=3", f"--run_dir={moved}"]
    # A copy of the file alone is no run.
    (moved / "flags.txt").rename("flags.txt")
    assert list(expand(["--flagfile=flags.txt"])) == ["--epochs=3", "--run_dir=runs/one"]


@pytest.mark.parametrize(
    "settings_class, flags, beside",
    [
        (DiscoverSettings, ["--dataset=scenes", "--encoder=RUN"], "data.json"),
        (EmbedSettings, ["--dataset=scenes", "--encoder=RUN"], "data.json"),
        (SegmentSettings, ["--dataset=scenes"], "random/data.json"),
        (DetectSettings, ["--dataset=scenes"], "trained/data.json"),
        (PrepareSettings, ["--input=images"], "work/begun.json"),
        (PrepareSettings, ["--input=images"], "prepared.json"),
    ],
)
def test_the_flags_of_other_commands_go_on_where_they_lie(
    settings_class, flags, beside, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    settings = flagfiles.parse([*flags, "--output=out"], settings_class)
    (tmp_path / "out" / beside).parent.mkdir(parents=True)
    (tmp_path / "out" / beside).write_text("{}")
    flagfiles.write_flagfile(settings, tmp_path / "out" / "flags.txt")

    def again(path, *more):
        found = flagfiles.parse([f"--flagfile={path}/flags.txt", *more], settings_class)
        assert fields.result_differences(settings, found) == {}
        return found.output

    assert again("out") == "out"
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert again("../out") == f"{tmp_path}/out" and again("../out", "--output=new") == "new"
    (tmp_path / "out").rename("moved")
    assert again("moved") == f"{tmp_path}/sub/moved"
    before = flagfiles.read_flagfile(tmp_path / "sub" / "moved" / "flags.txt", settings_class)
    typed = flagfiles.parse([*flags, "--output=moved"], settings_class)
    assert fields.result_differences(before, typed) == {}
    # A copy of the file alone begins anew.
    (tmp_path / "sub" / "moved" / "flags.txt").rename("flags.txt")
    assert again(".") == "out"
