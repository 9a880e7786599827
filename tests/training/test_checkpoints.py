import json
import re
import subprocess
import sys

import pytest
import tensorflow as tf

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.training.checkpoints import (
    Checkpoints,
    check_name,
    checkpoint_bytes,
    damage,
    item_names,
)

DATA = "state.data-00000-of-00001"


def module(value, size=3):
    made = tf.Module()
    made.weights = tf.Variable(tf.fill([size], float(value)), name="weights")
    return made


@pytest.fixture
def two(tmp_path):
    """Checkpoints of steps 3 and 4, whose weights are the step."""
    item = module(0)
    checkpoints = Checkpoints(tmp_path, 2, item=item)
    for step in (3, 4):
        item.weights.assign([float(step)] * 3)
        checkpoints.save(step)
    return tmp_path


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_the_newest_are_kept_and_the_newest_is_restored(tmp_path):
    item = module(0)
    checkpoints = Checkpoints(tmp_path / "c", 2, item=item)
    assert checkpoints.resume() is None
    for step in (5, 10, 100_000_000):
        item.weights.assign(tf.fill([3], float(step)))
        checkpoints.save(step)
    assert names(tmp_path / "c") == ["step_00000010", "step_100000000"]
    other = module(-1)
    assert Checkpoints(tmp_path / "c", 2, item=other).resume() == 100_000_000
    assert other.weights.numpy().tolist() == [1e8] * 3


def test_sha256sum_agrees(two):
    checked = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=two / "step_00000004", capture_output=True, text=True
    )
    assert checked.returncode == 0 and checked.stdout.count(": OK") == 2


@pytest.mark.parametrize("leftover", ["step_00000009.writing", "step_00000002.removing"])
def test_what_a_killed_process_left_is_no_checkpoint_and_goes(two, leftover):
    for clean in (lambda c: c.resume(), lambda c: c.save(5)):
        (two / leftover).mkdir()
        (two / leftover / "state.index").write_bytes(b"half of it")
        checkpoints = Checkpoints(two, 2, item=module(1))
        assert leftover not in map(str, checkpoints.steps())
        clean(checkpoints)
        assert all(re.fullmatch(r"step_\d{8}", name) for name in names(two))


@pytest.mark.parametrize("stray", ["x.writing", "step_00000009.writing", "step_00000003.removing"])
def test_a_stray_file_under_the_name_of_a_leftover_blocks_nothing(two, stray):
    for work in (lambda c: c.resume(), lambda c: c.save(5)):
        (two / stray).write_text("no checkpoint")
        work(Checkpoints(two, 2, item=module(0)))
        assert not (two / stray).exists()


@pytest.mark.parametrize("name", ["run[1]", "run]", "a\\b", "run\udcff", "[/run"])
def test_a_name_from_which_nothing_could_be_restored_is_refused(tmp_path, name):
    for refuse in (lambda path: Checkpoints(path, 2, item=module(0)), check_name):
        with pytest.raises(SettingsError, match="give another name") as refused:
            refuse(tmp_path / name)
        str(refused.value).encode()  # can be printed


@pytest.mark.parametrize("name", ["run*", "a b", "{x}", "%s", "?", "Bär", "$HOME", "'"])
def test_every_other_name_is_saved_to_and_restored_from(tmp_path, name):
    item = module(3)
    checkpoints = Checkpoints(tmp_path / name, 2, item=item)
    checkpoints.save(3)
    item.weights.assign([0.0] * 3)
    assert checkpoints.resume() == 3 and item.weights.numpy().tolist() == [3.0] * 3


def test_saving_a_step_again_replaces_it(tmp_path):
    item = module(1)
    checkpoints = Checkpoints(tmp_path, 2, item=item)
    checkpoints.save(3)
    item.weights.assign([7.0, 7.0, 7.0])
    checkpoints.save(3)
    item.weights.assign([0.0, 0.0, 0.0])
    checkpoints.restore(3)
    assert item.weights.numpy().tolist() == [7.0] * 3


def truncate(path):
    (path / DATA).write_bytes((path / DATA).read_bytes()[:-1])


def flip(name):
    def change(path):
        content = bytearray((path / name).read_bytes())
        content[len(content) // 2] ^= 1
        (path / name).write_bytes(bytes(content))

    return change


def remove(name):
    return lambda path: (path / name).unlink()


def empty_sums(path):
    (path / "SHA256SUMS").write_text("")


DAMAGES = [
    (truncate, f"{DATA} is not what was written"),
    (flip(DATA), f"{DATA} is not what was written"),
    (flip("state.index"), "state.index is not what was written"),
    (remove(DATA), f"{DATA} is missing"),
    (remove("state.index"), "state.index is missing"),
    (remove("SHA256SUMS"), "SHA256SUMS is missing"),
    (empty_sums, "is not in SHA256SUMS"),
]


@pytest.mark.parametrize("change, reason", DAMAGES)
def test_the_one_before_a_damaged_checkpoint_is_used(two, capsys, change, reason):
    change(two / "step_00000004")
    item = module(-1)
    assert Checkpoints(two, 2, item=item).resume() == 3
    assert item.weights.numpy().tolist() == [3.0] * 3
    told = capsys.readouterr().err
    assert re.search(rf"step_00000004 is damaged \([^()]*{re.escape(reason)}\)", told)
    assert "resuming from step 3" in told and "step_00000004.damaged" in told
    assert names(two) == ["step_00000003", "step_00000004.damaged"]


def test_every_flipped_bit_of_every_file_is_seen(two):
    path = two / "step_00000004"
    for file in path.iterdir():
        whole = file.read_bytes()
        for position in range(0, len(whole), max(1, len(whole) // 50)):
            changed = bytearray(whole)
            changed[position] ^= 4
            file.write_bytes(bytes(changed))
            assert damage(path), (file.name, position)
        file.write_bytes(whole)
    assert damage(path) is None


def test_a_reader_passes_over_damage_and_moves_nothing(two, capsys):
    truncate(two / "step_00000004")
    checkpoints = Checkpoints(two, 2, item=module(0))
    assert checkpoints.newest() == 3
    assert "step_00000004 is damaged" in capsys.readouterr().err
    assert names(two) == ["step_00000003", "step_00000004"]
    with pytest.raises(UserError, match="step_00000004 is damaged"):
        checkpoints.restore(4)


def test_a_run_whose_checkpoints_are_all_damaged_does_not_start_over(two):
    for step in (3, 4):
        truncate(two / f"step_{step:08d}")
    with pytest.raises(UserError, match="no checkpoint in .* is whole"):
        Checkpoints(two, 2, item=module(0)).resume()
    assert names(two) == ["step_00000003", "step_00000004"]


@pytest.mark.parametrize(
    "items, told",
    [
        ({"item": module(0, size=4)}, r"\(3,\).*\(4,\).*weights"),
        ({"another": module(0)}, "not in it: weights:0"),
        ({"item": module(0), "more": module(0)}, "not in it: weights:0"),
        ({}, "item.weights in it has no place here"),
    ],
)
def test_another_model_is_an_error_that_names_variables_and_nothing_else_is_used(two, items, told):
    with pytest.raises(UserError, match=told) as raised:
        Checkpoints(two, 2, **items).resume()
    assert "step_00000004 does not fit" in str(raised.value) and "\n" not in str(raised.value)
    assert names(two) == ["step_00000003", "step_00000004"]


def test_a_part_is_taken_out_and_must_be_complete(tmp_path):
    both = {"encoder": module(5), "queue": tf.Variable([1.0]), "optimizer": module(1)}
    checkpoints = Checkpoints(tmp_path, 2, **both)
    checkpoints.save(1)
    assert item_names(checkpoints.path(1)) == {"encoder", "optimizer"}
    encoder = module(0)
    Checkpoints(tmp_path, 2, encoder=encoder).restore(1, partial=True)
    assert encoder.weights.numpy().tolist() == [5.0] * 3
    with pytest.raises(UserError, match="encoder has 1 variables there, 0 here"):
        Checkpoints(tmp_path, 2, encoder=tf.Module()).restore(1, partial=True)


SAVES_UNDER_A_LIMIT = """
import json, resource, signal, sys
import tensorflow as tf
from pathlib import Path
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.training.checkpoints import Checkpoints
item = tf.Module()
item.weights = tf.Variable(tf.ones([200_000]))
checkpoints = Checkpoints(Path(sys.argv[1]), 2, item=item)
checkpoints.save(1)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
told = []
for step, limit in enumerate((0, 10, 1_000, 300_000, 799_999), 2):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        checkpoints.save(step)
    except UserError as error:
        told.append(str(error))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(json.dumps([told, checkpoints.steps(), checkpoints.newest()]))
item.weights.assign(tf.zeros([200_000]))
print(checkpoints.resume(), float(tf.reduce_sum(item.weights)))
"""


def test_a_save_that_the_disk_refuses_is_one_line_and_leaves_the_others(tmp_path):
    """A limit on the size of files stands for a full disk: writes fail after so many bytes."""
    ran = subprocess.run(
        [sys.executable, "-c", SAVES_UNDER_A_LIMIT, str(tmp_path / "c")],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    first, second = ran.stdout.splitlines()
    told, steps, newest = json.loads(first)
    assert len(told) == 5 and all("\n" not in line for line in told)
    assert all("not written to" in line and "earlier ones are untouched" in line for line in told)
    assert steps == [1] and newest == 1 and second == "1 200000.0"
    assert names(tmp_path / "c") == ["step_00000001"]


def test_checkpoint_bytes():
    assert (
        checkpoint_bytes([tf.Variable(tf.zeros([4, 5])), tf.Variable(tf.zeros([3], tf.float64))])
        == 104
    )
