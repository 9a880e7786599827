import os
import signal
import time
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ssl_tf.errors import Stopped
from ssl_tf.training import callbacks
from ssl_tf.training.checkpoints import Checkpoints
from ssl_tf.training.clock import StepClock
from ssl_tf.training.run_directory import MetricsFile
from ssl_tf.training.run_log import RunLog
from ssl_tf.training.schedules import WarmupCosine
from ssl_tf.training.stop_signals import SIGNALS, StopSignals
from ssl_tf.views.sheet import draw_sheet


def model(steps_at_once=1, last_step=None):
    return types.SimpleNamespace(steps_at_once=steps_at_once, last_step=last_step)


def saver(directory, signals):
    item = tf.Module()
    item.weights = tf.Variable(1.0)
    checkpoints = Checkpoints(directory, 9, item=item)
    callback = callbacks.SaveCheckpoint(0, checkpoints, 4, 10, signals)
    callback.set_model(model())
    return callback, checkpoints


def test_checkpoints_come_at_their_period_and_at_the_end(tmp_path):
    save, checkpoints = saver(tmp_path, StopSignals())
    for batch in range(10):
        save.on_train_batch_end(batch, {})
    assert checkpoints.steps() == [4, 8, 10]


@pytest.mark.parametrize("number, code", [("SIGTERM", 143), ("SIGINT", 130), ("SIGUSR1", 138)])
def test_a_signal_saves_the_step_and_stops(tmp_path, capfd, number, code):
    before = {each: signal.getsignal(each) for each in SIGNALS}
    with StopSignals() as signals:
        save, checkpoints = saver(tmp_path, signals)
        save.on_train_batch_end(0, {})
        assert checkpoints.steps() == []
        os.kill(os.getpid(), signal.Signals[number])
        assert f"{number}: saving after this step" in capfd.readouterr().err
        # A second signal must find the default: it ends the process at once.
        assert all(signal.getsignal(each) == signal.SIG_DFL for each in SIGNALS)
        with pytest.raises(Stopped, match=f"{number} at step 2") as stopped:
            save.on_train_batch_end(1, {})
    assert stopped.value.exit_code == code
    assert checkpoints.steps() == [2]
    assert {each: signal.getsignal(each) for each in SIGNALS} == before


def test_a_signal_during_the_last_step_lets_the_run_end(tmp_path):
    with StopSignals() as signals:
        save, checkpoints = saver(tmp_path, signals)
        os.kill(os.getpid(), signal.SIGTERM)
        save.on_train_batch_end(9, {})
    assert checkpoints.steps() == [10]


def test_executions_of_several_steps_pass_every_period_once():
    seen = []

    class Seen(callbacks.StepCallback):
        def on_step(self, step, logs):
            seen.append((self.previous, step, self.is_first, self.passed(5)))

    callback = Seen(8)
    callback.set_model(model(steps_at_once=4, last_step=22))
    for batch in range(4):
        callback.on_train_batch_end(batch, {})
    assert seen == [
        (8, 12, True, True), (12, 16, False, True), (16, 20, False, True), (20, 22, False, False),
    ]  # fmt: skip


def test_the_clock_leaves_the_first_execution_out_and_counts_over_a_resume(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def run(clock, seconds):
        clock.set_model(model())
        for batch, taken in enumerate(seconds):
            clock.on_train_batch_begin(batch)
            now[0] += taken
            clock.on_train_batch_end(batch, {"input_seconds": taken / 4})
        return clock

    first = run(StepClock(0, 8), [100.0, 1.0, 3.0])
    assert first.figures() == {
        "images_per_second": 4.0, "input_wait": 0.25, "train_seconds": 4.0, "timed_steps": 2,
    }  # fmt: skip
    assert "25.0 % of the step time spent waiting for input: input-bound" in first.summary()
    # Speed and time left are of this start, whose machine is half as fast.
    second = run(StepClock(3, 8, first.figures()), [50.0, 4.0])
    assert second.figures() == {
        "images_per_second": 2.0, "input_wait": 0.25, "train_seconds": 8.0, "timed_steps": 3,
    }  # fmt: skip
    assert second.seconds_left(4, 10) == 24.0
    assert "2.0 images/s over 1 steps" in second.summary()


def test_the_time_left_includes_the_monitors_and_checkpoints_to_come(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock = StepClock(0, 8)
    clock.set_model(model())
    for batch, taken in enumerate([100.0, 2.0]):
        clock.on_train_batch_begin(batch)
        now[0] += taken
        assert clock.seconds_left(batch, 20) is None
        clock.on_train_batch_end(batch, {"input_seconds": 0.0})
        for name, every, pause in (("monitor", 6, 30.0), ("checkpoint", 10, 5.0)):
            with clock.pause(name, every):
                now[0] += pause
    # Monitors after steps 6, 12, 18 and 20, checkpoints after 10 and 20.
    assert clock.seconds_left(2, 20) == 18 * 2 + 4 * 30 + 2 * 5
    assert clock.seconds_left(19, 20) == 2 + 30 + 5


def test_the_first_line_says_no_speed_because_none_was_measured(tmp_path, capsys):
    log = run_log(tmp_path, 0)
    log.on_train_batch_end(0, {"loss": 1.0})
    told = capsys.readouterr().err
    assert "loss 1" in told and "images/s" not in told and "ETA" not in told
    (line,) = MetricsFile.read(tmp_path / "metrics.jsonl")
    assert "images_per_second" not in line and line["timed_steps"] == 0


def test_lines_carry_the_time_and_tensorboard_the_first_views(tmp_path):
    cells = [[(np.full([8, 8, 3], 200, np.uint8), ["a view"])]]
    sheet = draw_sheet(cells, tmp_path / "views.png")
    for start in (0, 1):  # a resumed run shows them too
        before = time.time()
        run_log(tmp_path, start).on_train_batch_end(0, {"loss": 1.0})
        line = MetricsFile.read(tmp_path / "metrics.jsonl")[-1]
        assert before - 1e-3 <= line["wall_time"] <= time.time() + 1e-3
        events = EventAccumulator(str(tmp_path / "tensorboard"))
        events.Reload()
        (event,) = events.Tensors("first views")
        encoded = tf.make_ndarray(event.tensor_proto)[2]
        assert event.step == 0 and (tf.io.decode_png(encoded).numpy() == sheet).all()
    (tmp_path / "views.png").write_bytes(b"no picture")
    run_log(tmp_path, 2)


def run_log(directory, start_step, constants=None):
    callback = RunLog(
        start_step,
        MetricsFile(directory / "metrics.jsonl", start_step),
        StepClock(start_step, 8),
        last_step=20,
        images=80,
        batch_size=8,
        every=1,
        constants=constants or {},
        learning_rate=WarmupCosine(1.0, 0, 20),
    )
    callback.set_model(model())
    return callback


def test_tensorboard_shows_each_step_once_after_a_resume(tmp_path):
    first = run_log(tmp_path, 0)
    for batch in range(9):
        first.on_train_batch_end(batch, {"loss": 1.0})
    resumed = run_log(tmp_path, 4)
    for batch in range(4):
        resumed.on_train_batch_end(batch, {"loss": 2.0})
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    shown = [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events.Tensors("loss")]
    assert shown == [(step, 1.0 if step <= 4 else 2.0) for step in range(1, 9)]
    lines = MetricsFile.read(tmp_path / "metrics.jsonl")
    assert [(line["step"], line["loss"]) for line in lines] == shown
    # A process with TensorFlow in it has some hundreds of MiB.
    assert all(100 < line["host_memory_mib"] < 1e5 for line in lines)


def test_a_constant_that_is_none_is_left_out(tmp_path):
    callback = run_log(tmp_path, 0, constants={"chance_loss": None, "known": 2.0})
    callback.on_train_batch_end(0, {"loss": 1.0})
    (line,) = MetricsFile.read(tmp_path / "metrics.jsonl")
    assert line["known"] == 2.0 and "chance_loss" not in line
