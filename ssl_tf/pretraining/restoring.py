"""Where a run starts from: its own checkpoint, another run's weights, or nothing."""

from pathlib import Path

from ssl_tf.errors import UserError
from ssl_tf.methods.base import Method
from ssl_tf.settings import RunSettings
from ssl_tf.training.checkpoints import Checkpoints, is_checkpoint, item_names, read_checkpoint
from ssl_tf.training.run_directory import CHECKPOINTS


def run_checkpoints(directory: Path, method: Method, keep: int) -> Checkpoints:
    """All that a run needs to go on: networks, optimizer and state."""
    items = {"optimizer": method.optimizer, **method.networks, **method.state}
    return Checkpoints(directory / CHECKPOINTS, keep, **items)


def resume_or_init(run: RunSettings, method: Method) -> tuple[Checkpoints, int, str]:
    """Brings a method to where its run goes on.

    The run's own newest whole checkpoint comes first; only a run that has none is initialized from
    another's, and only what has neither starts from scratch.

    Args:
        run: its directory, which need not be there yet, and --init_from.
        method: with its optimizer.

    Returns:
        checkpoints: of the run.
        step: from which it goes on.
        origin: which of the three happened, in words.

    Raises:
        UserError: a checkpoint is damaged without another to replace it, or does not fit.
    """
    checkpoints = run_checkpoints(Path(run.run_dir), method, run.keep_checkpoints)
    step = checkpoints.resume()
    if step is not None:
        return checkpoints, step, f"resumed from its step {step}"
    if not run.init_from:
        return checkpoints, 0, "from scratch"
    source = initialize(method, Path(run.init_from))
    return checkpoints, 0, f"weights initialized from {source}, optimizer and step from scratch"


def initialize(method: Method, source: Path) -> Path:
    """Gives all networks of a method the weights of a checkpoint; optimizer and queues stay new.

    The checkpoint must hold the same networks, no more and no fewer, with the same variables.

    Args:
        method: whose networks are set, in place.
        source: run directory (its newest whole checkpoint) or a directory `step_XXXXXXXX`.

    Returns:
        The checkpoint that was read.

    Raises:
        UserError: there is none, it is damaged, or it is of other networks.
    """
    if not is_checkpoint(source):
        checkpoints = Checkpoints(source / CHECKPOINTS, keep=1)
        step = checkpoints.newest()
        if step is None:
            raise UserError(
                f"--init_from={source}: no checkpoint there; give a run directory that has one, or "
                "one of its checkpoints"
            )
        source = checkpoints.path(step)
    read_checkpoint(source, method.networks, partial=True)
    beside = item_names(source) - set(method.networks) - {"optimizer"}
    if beside:
        raise UserError(
            f"--init_from={source} holds networks that this method lacks "
            f"({', '.join(sorted(beside))}); give the --method of that run"
        )
    return source
