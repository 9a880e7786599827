import pytest
import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.training.checkpoints import Checkpoints, checkpoint_bytes


def module(value, size=3):
    made = tf.Module()
    made.weights = tf.Variable(tf.fill([size], float(value)))
    return made


def test_the_newest_are_kept_and_the_newest_is_restored(tmp_path):
    item = module(0)
    checkpoints = Checkpoints(tmp_path / "c", 2, item=item)
    assert checkpoints.restore_latest() is None
    for step in (5, 10, 100_000_000):
        item.weights.assign(tf.fill([3], float(step)))
        checkpoints.save(step)
    assert checkpoints.steps() == [10, 100_000_000]
    other = module(-1)
    assert Checkpoints(tmp_path / "c", 2, item=other).restore_latest() == 100_000_000
    assert other.weights.numpy().tolist() == [1e8] * 3


def test_an_unfinished_checkpoint_is_not_one(tmp_path):
    checkpoints = Checkpoints(tmp_path, 2, item=module(1))
    checkpoints.save(3)
    (tmp_path / "step_00000009.writing").mkdir()
    assert checkpoints.steps() == [3]
    checkpoints.save(4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_00000003", "step_00000004"]


def test_saving_a_step_again_replaces_it(tmp_path):
    item = module(1)
    checkpoints = Checkpoints(tmp_path, 2, item=item)
    checkpoints.save(3)
    item.weights.assign([7.0, 7.0, 7.0])
    checkpoints.save(3)
    item.weights.assign([0.0, 0.0, 0.0])
    checkpoints.restore(3)
    assert item.weights.numpy().tolist() == [7.0] * 3


@pytest.mark.parametrize("change", ["shape", "name", "damage"])
def test_a_checkpoint_that_does_not_fit_is_one_line(tmp_path, change):
    Checkpoints(tmp_path, 2, item=module(1)).save(3)
    items = {"item": module(0, size=4 if change == "shape" else 3)}
    if change == "name":
        items = {"another": module(0)}
    if change == "damage":
        (tmp_path / "step_00000003" / "state.index").write_bytes(b"no index")
    with pytest.raises(UserError) as raised:
        Checkpoints(tmp_path, 2, **items).restore_latest()
    assert "step_00000003" in str(raised.value) and "\n" not in str(raised.value)


def test_a_save_that_fails_leaves_the_others(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c", 2, item=module(1))
    checkpoints.save(3)
    (tmp_path / "c" / "step_00000004.writing").write_text("a file in the way of the directory")
    with pytest.raises((UserError, NotADirectoryError)):
        checkpoints.save(4)
    assert checkpoints.steps() == [3]


def test_checkpoint_bytes():
    assert (
        checkpoint_bytes([tf.Variable(tf.zeros([4, 5])), tf.Variable(tf.zeros([3], tf.float64))])
        == 104
    )
