"""An online network and its moving average, the target: what BYOL, MoCo and their kin share."""

from collections.abc import Sequence

import tensorflow as tf

from ssl_tf.methods.base import Tensors, move_towards
from ssl_tf.methods.branch import Branch
from ssl_tf.methods.network_builder import NetworkBuilder
from ssl_tf.methods.online_network import OnlineNetwork
from ssl_tf.settings.methods import TargetFlags
from ssl_tf.training.schedules import ema_decay


class OnlineTarget(OnlineNetwork):
    """Base of methods whose targets or keys come from a moving average of the online network.

    The target starts as a copy of it. It runs batch normalization on batch statistics and keeps
    moving statistics of its own, as the code of BYOL and MoCo has it. It is kept from the optimizer
    by `target_networks`, not by `trainable = False`, which would switch its normalization to
    moving statistics.

    MoCo's code moves the key network at the start of a step, ours at the end of the one before; as
    both start as copies, every key is the same, and the target of the last checkpoint is one
    update ahead.

    Subclasses implement `build_heads` and `compare`.
    """

    against_collapse = "Lower --base_learning_rate, raise --tau or lengthen --warmup_epochs"

    def __init__(
        self,
        builder: NetworkBuilder,
        chance: float | None,
        online_views: Sequence[int] | None = None,
    ):
        """Builds the networks; arguments as in `OnlineNetwork`."""
        super().__init__(builder, chance, online_views)
        self.target = Branch(builder, self.build_heads)
        self.target_passes = len(self.used_views)
        self.total_steps = builder.plan.total_steps
        self.base_tau = builder.flags(TargetFlags).tau

    @property
    def target_networks(self) -> dict[str, tf.keras.Model]:
        return {f"target_{name}": network for name, network in self.target.networks.items()}

    def tau(self, step: tf.Tensor) -> tf.Tensor:
        """EMA decay at a step, float32: --tau at first, rising to 1 (BYOL section 3.3)."""
        return ema_decay(step, self.total_steps, self.base_tau)

    def after_step(self, step: tf.Tensor, kept: Tensors) -> None:
        # Parameters only: the target's batch statistics are its own.
        move_towards(self.target.parameters(), self.online.parameters(), self.tau(step))

    def step_logs(self, step: tf.Tensor) -> Tensors:
        return {"tau": self.tau(step)}
