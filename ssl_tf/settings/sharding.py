"""Settings of work in shards, of which each command that has shards takes the same flags."""

import dataclasses
from pathlib import Path

from ssl_tf.settings.fields import setting, unless
from ssl_tf.settings.flagfile_lines import FLAGS


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardingSettings:
    """Where the work lies, and the workers that share the shards."""

    output: str = setting(
        "",
        "Directory of all results; the same command resumes an interrupted run there.",
        affects_result=False,
    )
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

    @property
    def recorded(self) -> Path:
        """The flagfile of the work that these settings continue, if they continue one."""
        return Path(self.output) / FLAGS

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        return unless(not self.beam_options, "--beam_options names the workers", "workers")
