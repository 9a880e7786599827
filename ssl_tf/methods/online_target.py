"""An online network and its moving average, the target: what BYOL, MoCo and their kin share."""

from collections.abc import Callable, Collection

import tensorflow as tf

from ssl_tf.methods.base import Tensors, move_towards
from ssl_tf.methods.blueprint import Blueprint
from ssl_tf.methods.online_network import OnlineNetwork, build_branch


class OnlineTarget(OnlineNetwork):
    """Base of methods whose targets or keys come from a moving average of the online network.

    The target starts as a copy of it. It runs batch normalization on batch statistics and keeps
    moving statistics of its own, as the code of BYOL and MoCo has it. It is kept from the optimizer
    by `learned_variables`, not by `trainable = False`, which would switch its normalization to
    moving statistics.

    MoCo's code moves the key network at the start of a step, ours at the end of the one before; as
    both start as copies, every key is the same, and the target of the last checkpoint is one
    update ahead.

    Subclasses implement `tau` beside `compare`.
    """

    against_collapse = "Lower --base_learning_rate, raise --tau or lengthen --warmup_epochs"

    def __init__(
        self,
        blueprint: Blueprint,
        make_heads: dict[str, Callable[[], tf.keras.Model]],
        chance: float,
        shared_views: Collection[int] = (),
    ):
        """Builds the networks; arguments as in `OnlineNetwork`."""
        super().__init__(blueprint, make_heads, chance, shared_views)
        self.target = build_branch(blueprint, make_heads)

    @property
    def networks(self) -> dict[str, tf.keras.Model]:
        target = {f"target_{name}": network for name, network in self.target.items()}
        return {**super().networks, **target}

    def tau(self, step: tf.Tensor) -> tf.Tensor:
        """EMA decay at a step, float32."""
        raise NotImplementedError

    def after_step(self, step: tf.Tensor, kept: Tensors) -> None:
        # Parameters only: the target's batch statistics are its own.
        online = [v for network in self.online.values() for v in network.trainable_variables]
        target = [v for network in self.target.values() for v in network.trainable_variables]
        move_towards(target, online, self.tau(step))
