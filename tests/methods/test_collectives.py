"""One replica steps without a collective, which XLA leaks a thread for on a GPU (#56423)."""

import ast
from pathlib import Path

import pytest
import tensorflow as tf

from ssl_tf.networks.precision import policy_scope
from ssl_tf.settings import METHODS
from ssl_tf.training.strategy import mirrored_strategy
from tests.methods.small_methods import BATCH, CLASSES, SMALL, make, sized_views

BLOCKS = ((0, 0, 0, 1), False)
PACKAGE = Path(__file__).parents[2] / "ssl_tf"


@pytest.fixture(autouse=True)
def sums_as_on_a_gpu(monkeypatch):
    """MirroredStrategy sums by collective operations, as in XLA's program on GPUs."""
    extended = type(mirrored_strategy(["CPU:0"]).extended)
    monkeypatch.setattr(extended, "_use_merge_call", lambda self: False)


def collectives(strategy, step, *arguments):
    """The types of the collective operations in the graph of a step, with its functions."""
    run = tf.function(lambda *given: strategy.run(step, given), autograph=False)
    graph = run.get_concrete_function(*arguments).graph.as_graph_def()
    nodes = [*graph.node, *(n for function in graph.library.function for n in function.node_def)]
    return {node.op for node in nodes if node.op.startswith("Collective")}


def collectives_of(name, replicas, precision="float32"):
    strategy = mirrored_strategy([f"CPU:{i}" for i in range(replicas)])
    flags = f"--method={name}", "--base_learning_rate=0.5", *SMALL[name].flags
    with policy_scope(precision):
        method = make(*flags, strategy=strategy, precision=precision, num_classes=CLASSES)
    batch = {
        "views": tuple(tf.constant(view) for view in sized_views(SMALL[name].sides)),
        "label": tf.zeros([BATCH], tf.int64),
    }
    return collectives(strategy, method.train_step, batch)


@pytest.mark.parametrize("name", METHODS)
def test_the_step_of_one_replica_has_none(name):
    assert collectives_of(name, 1) == set()


def test_the_step_of_one_replica_in_half_precision_has_none():
    assert collectives_of("byol", 1, "mixed_float16") == set()


def test_tensorflow_makes_one_where_it_is_asked_to():
    strategy = mirrored_strategy(["CPU:0"])

    def step(x):
        return tf.distribute.get_replica_context().all_reduce("SUM", x)

    assert collectives(strategy, step, tf.constant(1.0)) == {"CollectiveReduceV2"}


def test_all_collectives_are_in_one_file():
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("all_reduce", "all_gather")
    }
    assert found == {"networks/replicas.py"}
