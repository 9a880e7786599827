"""The start of a run: from its own checkpoint, another run's weights or random weights."""

from pathlib import Path

from ssl_tf.errors import UserError
from ssl_tf.methods.base import Method
from ssl_tf.settings import InitEncoderSettings, RunSettings
from ssl_tf.training.checkpoints import Checkpoints, is_checkpoint, item_names, read_checkpoint
from ssl_tf.training.run_directory import CHECKPOINTS
from ssl_tf.weights.loading import assign, check_encoder, read_weights


def run_checkpoints(directory: Path, method: Method, keep: int) -> Checkpoints:
    """The checkpoints of a run, with all it needs to resume: networks, optimizer and state."""
    items = {"optimizer": method.optimizer, **method.networks, **method.state}
    return Checkpoints(directory / CHECKPOINTS, keep, **items)


def resume_or_init(run: RunSettings, method: Method) -> tuple[Checkpoints, int, str]:
    """Resumes a run from its newest undamaged checkpoint, or initializes its weights.

    A run without a checkpoint takes the weights of --init_from, or the encoder's of
    --init_encoder. Without either it starts from scratch.

    Args:
        run: its directory, which need not exist yet, --init_from and --init_encoder.
        method: compiled with its optimizer.

    Returns:
        checkpoints: of the run.
        step: from which the run continues.
        origin: which of the three happened, in words.

    Raises:
        UserError: all checkpoints are damaged, or one does not fit the method, or the file of
            --init_encoder does not.
    """
    checkpoints = run_checkpoints(Path(run.run_dir), method, run.keep_checkpoints)
    step = checkpoints.resume()
    if step is not None:
        return checkpoints, step, f"resumed from its step {step}"
    if run.init.init_encoder:
        initialize_encoders(method, run.init)
        return checkpoints, 0, f"encoder initialized from {run.init.init_encoder}"
    if not run.init_from:
        return checkpoints, 0, "from scratch"
    source = initialize(method, Path(run.init_from))
    return checkpoints, 0, f"weights initialized from {source}, optimizer and step from scratch"


def initialize_encoders(method: Method, init: InitEncoderSettings) -> None:
    """Sets the encoder of a method, and its moving average, to the weights of a file.

    Raises:
        UserError: as `read_weights`, or the encoder is of another architecture.
    """
    weights = read_weights(init)
    check_encoder(method.encoder, weights, init)
    for name, network in method.networks.items():
        if name.removeprefix("target_") == "encoder":
            assign(network, weights)


def initialize(method: Method, source: Path) -> Path:
    """Loads the weights of all networks of a method from a checkpoint, not optimizer and queues.

    The checkpoint must hold exactly the networks of the method, with the same variables.

    Args:
        method: whose networks are set, in place.
        source: run directory (its newest undamaged checkpoint) or a directory `step_XXXXXXXX`.

    Returns:
        The path of the checkpoint that was read.

    Raises:
        UserError: there is no checkpoint, it is damaged, or it holds other networks.
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
    unknown = item_names(source) - set(method.networks) - {"optimizer"}
    if unknown:
        raise UserError(
            f"--init_from={source} holds networks that this method lacks "
            f"({', '.join(sorted(unknown))}); give the --method of that run"
        )
    return source
