"""What a training ran on, and that a change of it is told."""

import hashlib
import json
from pathlib import Path

import pytest

import ssl_tf
from ssl_tf.settings import PretrainSettings, flagfiles
from ssl_tf.training import environment
from ssl_tf.training.environment import code_digest, note_environment
from tests.training.foreign_files import FOREIGN


def test_another_number_of_replicas_is_told_from_then_on(tmp_path, capsys):
    for replicas in (2, 2):
        note_environment(tmp_path, replicas, False)
        assert capsys.readouterr().err == ""
    for replicas in (4, 2, 2):
        note_environment(tmp_path, replicas, False)
        told = capsys.readouterr().err
        assert "(replicas 2, then 4)" in told and "to rounding only" in told
    seen = json.loads((tmp_path / "environment.json").read_text())
    assert [one["replicas"] for one in seen] == [2, 4, 2]


@pytest.mark.parametrize("flags", [("--accumulate=2",), ("--method=moco", "--batch_norm=shuffled")])
def test_other_replicas_of_which_a_part_of_the_batch_depends_are_another_run(
    flags, tmp_path, capsys
):
    plain, given = (
        flagfiles.parse(["--dataset=scenes", *more], PretrainSettings) for more in ((), flags)
    )
    assert given.in_parts and not plain.in_parts
    for replicas, told in ((2, ""), (4, "is not that of an uninterrupted run: parts of a batch")):
        note_environment(tmp_path, replicas, given.in_parts)
        assert told in capsys.readouterr().err


@pytest.mark.parametrize("content", [*FOREIGN, b"[]", b"{}", b"[3]", b'[{"python": 3}, null]'])
def test_a_damaged_note_of_the_environment_is_told_and_stops_no_run(tmp_path, content, capsys):
    note_environment(tmp_path, 2, False)
    (whole,) = json.loads((tmp_path / "environment.json").read_text())
    (tmp_path / "environment.json").write_bytes(content)
    note_environment(tmp_path, 2, False)
    assert json.loads((tmp_path / "environment.json").read_text())[-1] == whole
    capsys.readouterr()
    note_environment(tmp_path, 2, False)
    assert "warning" not in capsys.readouterr().err


def test_the_digest_of_code_is_that_of_names_and_contents(tmp_path):
    (tmp_path / "room").mkdir()
    (tmp_path / "b.py").write_text("x = 1\n")
    (tmp_path / "room" / "a.py").write_text("")
    (tmp_path / "room" / "a.txt").write_text("no code")
    digest = code_digest(tmp_path)
    assert digest == hashlib.sha256(b"4 b.py 6 x = 1\n9 room/a.py 0 ").hexdigest()[:12]
    (tmp_path / "b.py").write_text("x = 2\n")
    changed = code_digest(tmp_path)
    (tmp_path / "b.py").rename(tmp_path / "c.py")
    assert len({digest, changed, code_digest(tmp_path)}) == 3


def test_other_code_is_told_from_then_on(tmp_path, capsys, monkeypatch):
    note_environment(tmp_path, 2, False)
    (first,) = json.loads((tmp_path / "environment.json").read_text())
    assert first["code"] == code_digest(Path(ssl_tf.__file__).parent)
    monkeypatch.setattr(environment, "code_digest", lambda package: "0123456789ab")
    for _ in range(2):
        note_environment(tmp_path, 2, False)
        told = capsys.readouterr().err
        assert f"(code {first['code']}, then 0123456789ab): its result" in told
        assert told.endswith("to rounding only, if this code computes the same\n")
