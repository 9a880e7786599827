"""A profile of the steps that were asked for, counted over the whole run."""

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.training.execution import TimedModel
from ssl_tf.training.profiler import Profile


class Small(TimedModel):
    def __init__(self):
        super().__init__("small")
        self.weight = tf.Variable(1.0)

    def train_step(self, batch):
        self.weight.assign_add(tf.reduce_sum(batch))
        return {"loss": self.weight.read_value()}


def profiles(directory):
    return list(directory.glob("plugins/profile/*/*.xplane.pb"))


def run(directory, start_step, first, last, more=()):
    model = Small()
    model.compile()
    seen = []

    class Seen(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(len(profiles(directory)))

    data = tf.data.Dataset.from_tensor_slices(np.ones([6, 2], np.float32))
    profile = Profile(start_step, directory, first, last)
    with profile.running():
        model.fit(data, steps_per_epoch=6, verbose=0, callbacks=[profile, Seen(), *more])
    return seen


def test_the_profile_is_written_after_its_last_step(tmp_path):
    assert run(tmp_path, 100, 102, 104) == [0, 0, 0, 1, 1, 1]


def test_a_run_that_ends_before_its_last_step_has_a_profile_all_the_same(tmp_path):
    assert run(tmp_path, 0, 5, 99) == [0] * 6
    assert len(profiles(tmp_path)) == 1


def test_a_run_that_is_stopped_has_a_profile_too(tmp_path):
    class Stop(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        run(tmp_path, 0, 2, 99, [Stop()])
    assert len(profiles(tmp_path)) == 1


def test_steps_of_another_process_are_not_profiled_and_that_is_told(tmp_path, capsys):
    assert run(tmp_path, 100, 10, 20) == [0] * 6
    assert profiles(tmp_path) == []
    assert "--profile_steps=10,20: this process took none of them" in capsys.readouterr().err
    run(tmp_path, 100, 106, 106)
    assert len(profiles(tmp_path)) == 1 and capsys.readouterr().err == ""


@pytest.mark.parametrize("first, last", [(110, 120), (150, 150), (101, 101), (90, 101), (149, 900)])
def test_an_execution_that_takes_one_of_the_steps_is_profiled(first, last, monkeypatch, tmp_path):
    told = []
    profiler = tf.profiler.experimental
    monkeypatch.setattr(profiler, "start", lambda directory: told.append("start"))
    monkeypatch.setattr(profiler, "stop", lambda: told.append("stop"))
    profile = Profile(50, tmp_path, first, last)
    model = Small()
    model.steps_at_once = 50
    profile.set_model(model)
    # Of the steps 51 to 100, 101 to 150 and 151 to 200.
    wanted = min(b for b in range(3) if first <= 100 + 50 * b and 51 + 50 * b <= last)
    with profile.running():
        for batch in range(3):
            profile.on_train_batch_begin(batch)
            assert told[:1] == ["start"] * (batch >= wanted)
            profile.on_train_batch_end(batch)
    assert told == ["start", "stop"]
