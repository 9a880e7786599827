import os
import signal

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ssl_tf.errors import Stopped
from ssl_tf.training import callbacks
from ssl_tf.training.checkpoints import Checkpoints
from ssl_tf.training.run_directory import MetricsFile
from ssl_tf.training.schedules import WarmupCosine
from ssl_tf.training.stop_signals import SIGNALS, StopSignals


def saver(directory, signals):
    item = tf.Module()
    item.weights = tf.Variable(1.0)
    checkpoints = Checkpoints(directory, 9, item=item)
    return callbacks.SaveCheckpoint(0, checkpoints, 4, 10, signals), checkpoints


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


def record(directory, start_step):
    return callbacks.Record(
        start_step,
        directory,
        callbacks.StepClock(start_step, 8),
        last_step=20,
        images=80,
        batch_size=8,
        every=1,
        constants={},
        learning_rate=WarmupCosine(1.0, 0, 20),
    )


def test_tensorboard_shows_each_step_once_after_a_resume(tmp_path):
    first = record(tmp_path, 0)
    for batch in range(9):
        first.on_train_batch_end(batch, {"loss": 1.0})
    resumed = record(tmp_path, 4)
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
