"""Settings of work in shards, of which each command that has shards takes the same flags."""

import dataclasses

from ssl_tf.settings.flagfiles import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardingSettings:
    """The workers that share the shards."""

    workers: int = setting(
        0,
        "Processes of the local runner, each of one core without a GPU; 1: this one, with all "
        "cores and the GPU; 0: one a core.",
        low=0,
        affects_result=False,
        high=4096,
    )
    beam_options: tuple[str, ...] = setting(
        (),
        "Options of Apache Beam, such as --runner=FlinkRunner; empty: this machine.",
        affects_result=False,
    )
