"""The contract of `Method`: what must be there, what may be missing, and what losses may be."""

import json

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf import command, pretrain
from ssl_tf.methods.base import Method
from ssl_tf.methods.byol import BYOL
from ssl_tf.methods.online_network import OnlineNetwork
from ssl_tf.methods.online_target import OnlineTarget
from ssl_tf.networks.replicas import gather
from ssl_tf.settings import PretrainSettings
from ssl_tf.training.strategy import mirrored_strategy
from tests.methods.small_methods import BATCH, make


def test_a_method_that_lacks_a_part_says_so_when_it_is_made():
    with pytest.raises(TypeError, match="abstract.*embed.*forward.*learned_networks"):
        Method()
    assert OnlineNetwork.__abstractmethods__ == {"build_heads", "compare"}
    assert OnlineTarget.__abstractmethods__ == {"build_heads", "compare"}


def test_views_of_the_pairs_and_those_of_the_surroundings():
    strategies = "--view_strategies=simclr,simclr,plain,plain,plain"
    method = make("--method=simsiam", strategies, "--compared_pairs=4:1,1:2")
    assert method.pairs == ((4, 1), (1, 2)) and method.used_views == (1, 2, 4)
    assert method.encoder_passes == 3
    assert [method.is_surroundings(view) for view in range(4)] == [False, True, False, True]


def test_the_optimizer_moves_what_is_declared_whatever_its_name():
    """A head that is called target_... learns like any other."""

    class Named(BYOL):
        @property
        def learned_networks(self):
            networks = super().learned_networks
            predictor = networks.pop("predictor")
            return {**networks, "target_practice": predictor}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ssl_tf.methods.byol.BYOL", Named)
        method = make("--method=byol")
    learned = {id(v) for v in method.learned_variables}
    assert {id(v) for v in method.predictor.trainable_variables} <= learned
    target = [v for network in method.target_networks.values() for v in network.variables]
    assert target and not learned & {id(v) for v in target}
    assert set(method.networks) == {
        "encoder", "projector", "target_practice", "target_encoder", "target_projector",
    }  # fmt: skip


def test_a_run_without_a_chance_loss_logs_none(tmp_path, monkeypatch):
    unknown = property(lambda method: None, lambda method, chance: None)
    monkeypatch.setattr(BYOL, "chance_loss", unknown)
    flags = (
        "--method=byol --dataset=scenes --scenes=16 --scene_size=16 --image_size=16 --depth=18 "
        "--width=0.0625 --stem=small --projector_hidden=16 --projection=8 --batch_size=8 "
        "--epochs=1 --warmup_epochs=0 --log_every=1 --monitor_queries=8 --monitor_bank=8 "
        f"--view_strategies=plain,plain --run_dir={tmp_path}"
    )
    command.run(pretrain.main, PretrainSettings, flags.split())
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    logged = [line for line in lines if "loss" in line]
    assert [line["step"] for line in logged] == [1, 2]
    assert not any("chance_loss" in line for line in lines)


class Scatter(Method):
    """Its loss is of the batch: how far the mean output of the global batch is from 1, squared."""

    def __init__(self):
        super().__init__()
        self.encoder = tf.keras.Sequential([tf.keras.layers.Dense(2, kernel_initializer="ones")])
        self.encoder.build((None, 3))

    @property
    def learned_networks(self):
        return {"encoder": self.encoder}

    def embed(self, images, view=0):
        return images, images

    def forward(self, batch, training):
        everything, _ = gather(self.encoder(tf.cast(batch["views"][0], tf.float32) / 255))
        return {"scatter": tf.reduce_sum((tf.reduce_mean(everything, 0) - 1) ** 2)}, {}


@pytest.mark.parametrize("replicas, accumulate", [(1, 1), (2, 1), (4, 1), (1, 2), (2, 2)])
def test_a_scalar_is_a_loss_of_the_global_batch(replicas, accumulate):
    """By hand: loss |m W + b - 1|^2 of the mean m of the batch, or of each part of it."""
    rows = np.random.default_rng(0).integers(0, 256, [BATCH, 3], np.uint8)
    strategy = mirrored_strategy([f"CPU:{i}" for i in range(replicas)])
    with strategy.scope():
        method = Scatter()
        method.accumulate = accumulate
        method.compile(optimizer=tf.keras.optimizers.SGD(1.0))
    data = tf.data.Dataset.from_tensors({"views": (rows,)})
    loss = method.fit(data, verbose=0).history["loss"][0]
    # A part takes the next examples of every replica.
    order = np.arange(BATCH).reshape(replicas, accumulate, -1).transpose(1, 0, 2)
    means = (rows / 255)[order.reshape(accumulate, -1)].mean(axis=1)
    off = means @ np.ones([3, 2]) - 1
    assert loss == pytest.approx((off**2).sum(axis=1).mean(), rel=1e-5)
    moved = np.ones([3, 2]) - 2 * np.einsum("pi,pj->ij", means, off) / accumulate
    np.testing.assert_allclose(method.encoder.get_weights()[0], moved, rtol=1e-5, atol=1e-6)
