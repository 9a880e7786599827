"""Optimizers against published vectors and slow NumPy loops, on one device and on two replicas."""

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.training.optimizers import LARS, MomentumSGD, build_optimizer
from ssl_tf.training.schedules import WarmupCosine
from ssl_tf.training.strategy import mirrored_strategy

STEPS = 25
SHAPES = [(3, 3, 2, 4), (5, 3), (4,), (), (2, 2)]
VARIANTS = ["byol", "simclr"]


def start(seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    values = [np.asarray(rng.normal(size=shape), dtype) for shape in SHAPES]
    values[-1] *= 0  # a weight of norm 0
    return values


def gradients(dtype=np.float32):
    """[step][variable]; one step has a gradient of 0."""
    rng = np.random.default_rng(1)
    table = [[np.asarray(rng.normal(size=s), dtype) for s in SHAPES] for _ in range(STEPS)]
    table[3][1] *= 0
    return table


def schedule():
    return WarmupCosine(0.8, 5, STEPS)


def slow_descent(direction, momentum=0.9, nesterov=False, rate_inside=False):
    """Weights after all steps in float64; `direction(w, g)` is what the momentum takes up."""
    weights = [w.astype(np.float64) for w in start()]
    buffers = [np.zeros(shape) for shape in SHAPES]
    for step, table in enumerate(gradients()):
        rate = schedule()(step)
        for i, gradient in enumerate(table):
            taken = direction(weights[i], gradient.astype(np.float64))
            if rate_inside:
                buffers[i] = momentum * buffers[i] + rate * taken
                weights[i] = weights[i] - buffers[i]
            else:
                buffers[i] = momentum * buffers[i] + taken
                ahead = taken + momentum * buffers[i] if nesterov else buffers[i]
                weights[i] = weights[i] - rate * ahead
    return weights


def lars_direction(weight_decay, trust):
    def direction(w, g):
        if w.ndim <= 1:
            return g
        g = g + weight_decay * w
        norms = np.linalg.norm(w), np.linalg.norm(g)
        return g * (trust * norms[0] / norms[1] if min(norms) > 0 else 1.0)

    return direction


def l2_direction(weight_decay, decay_rank_one):
    return lambda w, g: g + weight_decay * w if w.ndim > 1 or decay_rank_one else g


def run(optimizer, weights=None, tables=None):
    """Weights after the steps, in graph mode."""
    variables = [tf.Variable(w) for w in (start() if weights is None else weights)]
    apply = tf.function(lambda table: optimizer.apply_gradients(zip(table, variables)))
    optimizer.build(variables)
    for table in tables or gradients():
        apply([tf.constant(g) for g in table])
    return [v.numpy() for v in variables]


def assert_all_close(found, expected, rtol):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(np.abs(b).max(), 1e-3))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "gradient, weight_decay, step",
    [
        ([0.6, 0.8], 0.0, [0.003, 0.004]),
        ([0.6, 0.8], 0.1, [0.003, 0.004]),
        ([-0.8, 0.6], 0.1, [-0.00223607, 0.00447214]),
        ([-0.8, 0.6], 0.0, [-0.004, 0.003]),
    ],
)
def test_lars_one_step_vectors(variant, gradient, weight_decay, step):
    w = tf.Variable([[3.0], [4.0]])
    optimizer = LARS(1.0, weight_decay=weight_decay, variant=variant)
    optimizer.apply_gradients([(tf.constant(gradient)[:, None], w)])
    taken = np.array([3.0, 4.0]) - w.numpy()[:, 0]
    np.testing.assert_allclose(taken, step, atol=5e-7)
    assert np.linalg.norm(taken) == pytest.approx(0.005, abs=5e-7)


@pytest.mark.parametrize(
    "variant, expected",
    [("byol", [2.9941515, 3.9922020]), ("simclr", [2.9928015, 3.9904020])],
)
def test_lars_momentum_placement_vectors(variant, expected):
    w = tf.Variable([[3.0], [4.0]])
    rate = tf.keras.optimizers.schedules.PiecewiseConstantDecay([0], [1.0, 0.5])
    optimizer = LARS(rate, variant=variant)
    for _ in range(2):
        optimizer.apply_gradients([(tf.constant([[0.6], [0.8]]), w)])
    np.testing.assert_allclose(w.numpy()[:, 0], expected, atol=5e-7)


@pytest.mark.parametrize("make", [MomentumSGD, LARS])
def test_what_is_held_begins_later_as_from_a_start(make):
    """Also where its gradient is not 0, and its momentum."""
    optimizer, variables = make(0.5, 0.9, 0.1), [tf.Variable(w) for w in start()]
    optimizer.build(variables)
    optimizer.hold(variables[:2], 3)
    for step, table in enumerate(gradients()):
        optimizer.apply_gradients(zip(map(tf.constant, table), variables))
        if step == 2:
            for held, first in zip(variables[:2], start()):
                np.testing.assert_array_equal(held, first)
    later = run(make(0.5, 0.9, 0.1), tables=gradients()[3:])
    never = run(make(0.5, 0.9, 0.1))
    assert_all_close([v.numpy() for v in variables], [*later[:2], *never[2:]], 1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_lars_equals_a_slow_loop(variant, weight_decay):
    found = run(LARS(schedule(), 0.9, weight_decay, 0.02, variant))
    expected = slow_descent(lars_direction(weight_decay, 0.02), rate_inside=variant == "simclr")
    assert_all_close(found, expected, 2e-6)


def test_lars_in_float64_leaves_rounding_only():
    rate = 0.25  # kept by the optimizer in float32, where it is exact
    found = run(
        LARS(rate, 0.9, 0.1, 0.02),
        [w.astype(np.float64) for w in start()],
        [[g.astype(np.float64) for g in table] for table in gradients()],
    )
    weights = [w.astype(np.float64) for w in start()]
    buffers = [np.zeros(shape) for shape in SHAPES]
    for table in gradients():
        for i, g in enumerate(table):
            taken = lars_direction(0.1, 0.02)(weights[i], g.astype(np.float64))
            buffers[i] = 0.9 * buffers[i] + taken
            weights[i] = weights[i] - rate * buffers[i]
    assert_all_close(found, weights, 1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
def test_lars_does_not_see_the_scale_of_the_loss_except_in_rank_one(variant):
    scaled = [[np.asarray(8 * g, np.float32) for g in table] for table in gradients()]
    plain, loud = (run(LARS(0.1, variant=variant), tables=t) for t in (gradients(), scaled))
    assert_all_close(plain[:2], loud[:2], 1e-5)
    moved, moved_loud = (w[2] - start()[2] for w in (plain, loud))
    np.testing.assert_allclose(moved_loud, 8 * moved, rtol=1e-5)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay_rank_one", [False, True])
def test_momentum_sgd_equals_a_slow_loop(nesterov, decay_rank_one):
    found = run(MomentumSGD(schedule(), 0.9, 0.1, nesterov, decay_rank_one))
    expected = slow_descent(l2_direction(0.1, decay_rank_one), nesterov=nesterov)
    assert_all_close(found, expected, 2e-6)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_sgd_equals_keras_without_decay_at_a_constant_rate(nesterov):
    keras = tf.keras.optimizers.SGD(0.05, momentum=0.9, nesterov=nesterov)
    assert_all_close(run(MomentumSGD(0.05, nesterov=nesterov)), run(keras), 1e-5)


def test_weight_decay_is_applied_once():
    w = tf.Variable([[2.0]])
    MomentumSGD(0.5, weight_decay=0.1).apply_gradients([(tf.constant([[0.0]]), w)])
    assert w.numpy() == pytest.approx(2 * (1 - 0.5 * 0.1), rel=1e-7)


OPTIMIZERS = {
    "lars byol": lambda v: build_optimizer("lars", schedule(), 0.1, trust_coefficient=0.02),
    "lars simclr": lambda v: build_optimizer("lars", schedule(), 0.1, lars_variant="simclr"),
    "sgd": lambda v: build_optimizer("sgd", schedule(), 0.1, nesterov=True),
    "adamw": lambda v: build_optimizer("adamw", schedule(), 0.1, variables=v),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_replicas_equal_one_device(name):
    alone = [tf.Variable(w) for w in start()]
    optimizer = OPTIMIZERS[name](alone)
    for table in gradients():
        optimizer.apply_gradients(zip(table, alone))

    strategy = mirrored_strategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        mirrored = [tf.Variable(w) for w in start()]
        replicated = OPTIMIZERS[name](mirrored)
        replicated.build(mirrored)

    @tf.function
    def step(table):
        def on_replica():
            # Unequal shares, 1/4 and 3/4, that sum to the whole gradient.
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            share = 0.25 + 0.5 * tf.cast(replica, tf.float32)
            replicated.apply_gradients((share * g, v) for g, v in zip(table, mirrored))

        strategy.run(on_replica)

    for table in gradients():
        step([tf.constant(g) for g in table])
    assert replicated.iterations.numpy() == STEPS
    for variable, expected in zip(mirrored, alone):
        first, second = (copy.numpy() for copy in strategy.experimental_local_results(variable))
        np.testing.assert_array_equal(first, second)
        np.testing.assert_allclose(first, expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_restored_checkpoint_continues_bit_for_bit(name, tmp_path):
    def build():
        variables = [tf.Variable(w) for w in start()]
        optimizer = OPTIMIZERS[name](variables)
        optimizer.build(variables)
        return variables, optimizer, tf.train.Checkpoint(variables=variables, optimizer=optimizer)

    def take(steps, variables, optimizer):
        for table in gradients()[steps]:
            optimizer.apply_gradients(zip(table, variables))

    variables, optimizer, checkpoint = build()
    take(slice(10), variables, optimizer)
    path = checkpoint.write(str(tmp_path / "state"))
    take(slice(10, None), variables, optimizer)

    resumed, its_optimizer, its_checkpoint = build()
    its_checkpoint.read(path).assert_consumed()
    take(slice(10, None), resumed, its_optimizer)
    for a, b in zip(variables, resumed):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("decay_rank_one", [False, True])
def test_adamw_decays_by_rank(replicas, decay_rank_one):
    strategy = mirrored_strategy([f"CPU:{i}" for i in range(replicas)])
    with strategy.scope():
        # Same names on purpose: exclusion must go by variable.
        matrix, vector = tf.Variable([[2.0]], name="w"), tf.Variable([2.0], name="w")
        optimizer = build_optimizer(
            "adamw", 0.5, 0.1, decay_rank_one=decay_rank_one, variables=[matrix, vector]
        )
        optimizer.build([matrix, vector])

    def on_replica():
        optimizer.apply_gradients([(tf.zeros_like(v), v) for v in (matrix, vector)])

    tf.function(lambda: strategy.run(on_replica))()
    assert matrix.numpy() == pytest.approx(2 * (1 - 0.5 * 0.1), rel=1e-6)
    expected = 2 * (1 - 0.5 * 0.1) if decay_rank_one else 2.0
    assert vector.numpy() == pytest.approx(expected, rel=1e-6)


def test_keras_fit_with_lars_lowers_the_loss():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 6)).astype(np.float32)
    y = x @ rng.normal(size=(6, 2)).astype(np.float32)
    model = tf.keras.Sequential([tf.keras.layers.Dense(2, kernel_initializer="ones")])
    model.compile(build_optimizer("lars", WarmupCosine(1.0, 20, 400), trust_coefficient=0.1), "mse")
    history = model.fit(x, y, batch_size=16, epochs=100, verbose=0).history["loss"]
    assert history[-1] < 0.01 * history[0]
    assert model.optimizer.iterations.numpy() == 400


@pytest.mark.parametrize(
    "wrong", [{"name": "adam"}, {"name": "adamw"}, {"name": "lars", "lars_variant": "torch"}]
)
def test_what_does_not_exist_is_refused(wrong):
    with pytest.raises(ValueError):
        build_optimizer(learning_rate=0.1, **wrong)


@pytest.mark.parametrize("name", ["sgd", "lars"])
def test_the_order_of_additions_does_not_depend_on_memory(name):
    """The gradient of two views, the weight decay and the momentum are summed from the left.

    An AddN over all of them would begin with the products, the only terms whose memory it may
    reuse here, as their order in a run would hang on the timing of threads.
    """
    variable = tf.Variable(tf.fill([2, 2], -2.0))
    optimizer = build_optimizer(name, 0.0, weight_decay=0.5)
    optimizer.build([variable])

    @tf.function
    def step(first, second):
        optimizer.apply_gradients([(tf.add_n([first, second]), variable)])

    # (1e-8 + 1) - 1 is 0 in float32; (-1 + 1) + 1e-8 is not.
    step(tf.fill([2, 2], 1e-8), tf.ones([2, 2]))
    (momentum,) = [v for v in optimizer.variables if "momentum" in v.name]
    assert not momentum.numpy().any()


@pytest.mark.parametrize("name", ["sgd", "lars"])
def test_scaled_variables_move_as_at_their_own_rate(name):
    def moved(rate, factor):
        variable = tf.Variable([[1.0, -2.0], [0.5, 3.0]])
        optimizer = build_optimizer(name, rate, weight_decay=0.1)
        optimizer.scale_learning_rate([variable], factor)
        for step in range(4):
            optimizer.apply_gradients([(variable * 0.3 + step, variable)])
        return variable.numpy()

    np.testing.assert_allclose(moved(0.5, 0.1), moved(0.05, 1.0), rtol=1e-6)
    np.testing.assert_array_equal(moved(0.5, 0.0), [[1.0, -2.0], [0.5, 3.0]])


@pytest.mark.parametrize("options", [{"name": "sgd"}, {"name": "lars", "lars_variant": "simclr"}])
def test_a_kept_rate_is_that_of_a_run_without_schedule(options):
    def moved(rate, kept):
        variable = tf.Variable([[1.0, -2.0], [0.5, 3.0]])
        optimizer = build_optimizer(learning_rate=rate, weight_decay=0.1, **options)
        if kept:
            optimizer.fix_learning_rate([variable], kept)
        for step in range(4):
            optimizer.apply_gradients([(variable * 0.3 + step, variable)])
        return variable.numpy()

    np.testing.assert_array_equal(moved(WarmupCosine(0.5, 1, 4), 0.05), moved(0.05, None))
