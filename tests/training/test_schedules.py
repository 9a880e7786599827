"""Schedules against the published counts and their closed forms."""

import math

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.training.schedules import (
    StepDecay,
    WarmupCosine,
    ema_decay,
    linear_warmup,
    scaled_learning_rate,
    step_decay,
    total_steps,
    warmup_cosine,
)

IMAGENET = 1_281_167


@pytest.mark.parametrize(
    "epochs, examples, batch, steps",
    [
        (300, IMAGENET, 2048, 187_670),
        (300.0, IMAGENET, 2048, 187_670),
        (100, IMAGENET, 4096, 31_278),
        (1000, 50_000, 512, 97_656),
        (0.5, 1000, 64, 7),
        (1, 10, 64, 0),
        (0.57, 100, 57, 1),  # 0.57 * 100 is a little less than 57 in floats
        (0.29, 25_600, 256, 29),
    ],
)
def test_total_steps(epochs, examples, batch, steps):
    assert total_steps(epochs, examples, batch) == steps


def test_warmup_steps_and_peak_of_the_imagenet_recipe():
    assert total_steps(10, IMAGENET, 2048) == 6255
    assert scaled_learning_rate(0.3, 2048) == pytest.approx(2.4, abs=1e-12)
    assert scaled_learning_rate(0.3, 256) == 0.3


@pytest.mark.parametrize("warmup, total", [(6255, 187_670), (0, 100), (3, 10), (7, 7)])
def test_warmup_cosine_equals_the_formula_at_every_kind_of_step(warmup, total):
    peak = 2.4
    schedule = WarmupCosine(peak, warmup, total)
    in_graph = tf.function(schedule)
    steps = {0, 1, warmup // 2, max(warmup - 1, 0), warmup, warmup + 1, (warmup + total) // 2}
    for step in sorted(s for s in steps | {total - 1, total} if s <= total):
        if step < warmup:
            expected = peak * step / warmup
        elif total == warmup:
            expected = 0.0
        else:
            progress = (step - warmup) / (total - warmup)
            expected = peak * (1 + math.cos(math.pi * progress)) / 2
        assert schedule(step) == pytest.approx(expected, rel=1e-9, abs=1e-12)
        for found in (schedule(tf.constant(step)), in_graph(tf.Variable(step, dtype=tf.int64))):
            assert found.dtype == tf.float32
            assert found.numpy() == pytest.approx(expected, rel=2e-7, abs=1e-12)


def test_warmup_cosine_ends_and_midpoint():
    total, warmup = 187_670, 6254
    assert warmup_cosine(0, 2.4, warmup, total) == 0.0
    assert warmup_cosine(warmup, 2.4, warmup, total) == 2.4
    assert warmup_cosine((total + warmup) // 2, 2.4, warmup, total) == pytest.approx(1.2, rel=1e-12)
    assert warmup_cosine(total, 2.4, warmup, total) == 0.0
    assert warmup_cosine(total + 5, 2.4, warmup, total) == 0.0
    # The last step learns yet: (1 + cos) / 2 in float32 would give 0 here.
    last = warmup_cosine(tf.constant(total - 1), 2.4, warmup, total).numpy()
    assert last == pytest.approx(2.4 * (math.pi / 2 / (total - warmup)) ** 2, rel=1e-6)


def test_warmup_longer_than_the_run_is_refused():
    with pytest.raises(ValueError):
        WarmupCosine(1.0, 11, 10)


@pytest.mark.parametrize(
    "base, published",
    [
        (0.99, (0.99, 0.991464466, 0.995, 0.998535534, 1)),
        (0.996, (0.996, 0.996585786, 0.998, 0.999414214, 1)),
        (0.9995, (0.9995, 0.999573223, 0.99975, 0.999926777, 1)),
    ],
)
def test_ema_decay_equals_the_published_values(base, published):
    total = 187_672
    for quarter, expected in enumerate(published):
        step = total * quarter // 4
        assert ema_decay(step, total, base) == pytest.approx(expected, abs=5e-10)
        found = tf.function(ema_decay)(tf.constant(step, tf.int64), total, base)
        assert found.dtype == tf.float32
        assert found.numpy() == np.float32(ema_decay(step, total, base))


def test_ema_decay_never_falls_and_stays_at_one():
    values = [ema_decay(step, 50, 0.97) for step in range(60)]
    assert values == sorted(values)
    assert values[50:] == [1.0] * 10


def test_step_decay_of_the_moco_protocol():
    # 100 epochs of 1,281,167 images at 256: 30, 3 from epoch 60 on, 0.3 from epoch 80 on.
    drops = [total_steps(epoch, IMAGENET, 256) for epoch in (60, 80)]
    assert drops == [300_273, 400_364]
    schedule = StepDecay(30.0, drops)
    in_graph = tf.function(schedule)
    for step, expected in (
        (0, 30), (300_272, 30), (300_273, 3), (400_363, 3), (400_364, 0.3), (900_000, 0.3),
    ):  # fmt: skip
        assert step_decay(step, 30.0, drops) == pytest.approx(expected, rel=1e-12)
        for found in (schedule(tf.constant(step)), in_graph(tf.Variable(step, dtype=tf.int64))):
            assert found.dtype == tf.float32
            assert found.numpy() == pytest.approx(expected, rel=3e-7)


def test_a_linear_warmup_passes_its_ends_and_stays():
    found = [linear_warmup(step, 0.04, 0.07, 30) for step in (0, 10, 30, 31, 1000)]
    np.testing.assert_allclose(found, [0.04, 0.05, 0.07, 0.07, 0.07], rtol=1e-12)
    assert linear_warmup(0, 0.04, 0.07, 0) == 0.07
    as_tensor = linear_warmup(tf.constant(10, tf.int64), 0.04, 0.07, 30)
    assert as_tensor.dtype == tf.float32 and float(as_tensor) == pytest.approx(0.05)
    assert float(linear_warmup(tf.constant(0), 0.04, 0.07, 0)) == pytest.approx(0.07)
