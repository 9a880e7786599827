"""What a study would do: its order, its command lines, and what its arms would cost."""

import shlex
import subprocess
from collections.abc import Sequence

from ssl_tf.errors import UserError
from ssl_tf.experiments.runner import LAUNCH
from ssl_tf.experiments.stage_commands import PRETRAIN
from ssl_tf.experiments.study_file import Study
from ssl_tf.experiments.trials import Trial


def preview(study: Study, trials: Sequence[Trial]) -> None:
    """Prints the order of work and each arm with its first seed; asks `pretrain --dry_run` of each.

    Raises:
        UserError: a pre-training is refused; the others are shown all the same.
    """
    print(f"{study.title}\n{len(trials)} runs: {' '.join(trial.name for trial in trials)}")
    if study.stop:
        print(study.stop)
    refused = []
    for arm in study.arms:
        trial = next(t for t in trials if t.arm == arm)
        print(f"\n{trial.name}")
        for step in trial.steps:
            print(f"  python -m ssl_tf.{shlex.join(step.command)}", flush=True)
            if step.name == PRETRAIN:
                told, code = _asked(step.command)
                print("".join(f"    {line}\n" for line in told), end="", flush=True)
                refused += [arm] if code else []
    if refused:
        raise UserError(f"arms {', '.join(refused)} cannot be pre-trained, as told above")


def _asked(command: Sequence[str]) -> tuple[list[str], int]:
    """What the dry run of a pre-training says, and its exit code."""
    made = subprocess.run(
        [*LAUNCH, f"ssl_tf.{command[0]}", *command[1:], "--dry_run"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return made.stdout.splitlines(), made.returncode
