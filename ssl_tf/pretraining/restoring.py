"""The start of a run: from its own checkpoint, another run's weights or random weights."""

from pathlib import Path

from ssl_tf.errors import UserError
from ssl_tf.files import read_json, write_json
from ssl_tf.methods.base import Method
from ssl_tf.settings import InitEncoderSettings, ModelSettings, PretrainSettings, flagfiles
from ssl_tf.training.checkpoints import Checkpoints, is_checkpoint, item_names, read_checkpoint
from ssl_tf.training.run_directory import (
    CHECKPOINTS,
    METRICS,
    MetricsFile,
    read_settings,
    run_of,
)
from ssl_tf.weights.loading import assign, check_encoder, read_weights

# The step of the first checkpoint of a run, null before it. It tells a run that has lost its
# checkpoints from one that has none yet.
SAVED = "checkpoints.json"
_REMEDY = "remove it"


def run_checkpoints(directory: Path, method: Method, keep: int) -> Checkpoints:
    """The checkpoints of a run, with all it needs to resume: networks, optimizer and state."""
    items = {"optimizer": method.optimizer, **method.networks, **method.state}
    return _RunCheckpoints(directory / CHECKPOINTS, keep, **items)


class _RunCheckpoints(Checkpoints):
    """Notes beside them that there are some."""

    def save(self, step: int) -> Path:
        path = super().save(step)
        note_saved(path.parents[1], step)
        return path


def note_saved(directory: Path, step: int | None) -> None:
    """Notes in the directory of a run which checkpoint is its first, unless that is noted.

    Args:
        directory: of the run.
        step: of a checkpoint; None: there is none yet.
    """
    if not _first_saved(directory):
        write_json(directory / SAVED, {"first": step})


def _first_saved(directory: Path) -> int | None:
    path = directory / SAVED
    return read_json(path, dict, _REMEDY).get("first") if path.exists() else None


def resume_or_init(settings: PretrainSettings, method: Method) -> tuple[Checkpoints, int, str]:
    """Resumes a run from its newest undamaged checkpoint, or initializes its weights.

    A run without a checkpoint takes the weights of --init_from, or the encoder's of
    --init_encoder. Without either it starts from scratch.

    Args:
        settings: of the run, whose directory need not exist yet.
        method: compiled with its optimizer.

    Returns:
        checkpoints: of the run.
        step: from which the run continues.
        origin: which of the three happened, in words.

    Raises:
        UserError: all checkpoints are damaged, or one does not fit the method, or the run of
            --init_from or the file of --init_encoder does not.
    """
    run = settings.run
    checkpoints = run_checkpoints(Path(run.run_dir), method, run.keep_checkpoints)
    step = checkpoints.resume()
    if step is not None:
        return checkpoints, step, f"resumed from its step {step}"
    return checkpoints, 0, first_weights(settings, method)


def first_weights(settings: PretrainSettings, method: Method) -> str:
    """Gives a method the weights of a new run, and says from where.

    Raises:
        UserError: the run of --init_from or the file of --init_encoder does not fit the method, or
            is not there.
    """
    run = settings.run
    if run.init.init_encoder:
        initialize_encoders(method, run.init)
        return f"encoder initialized from {run.init.init_encoder}"
    if not run.init_from:
        return "from scratch"
    source = initialize(method, Path(run.init_from), settings.model)
    return f"weights initialized from {source}, optimizer and step from scratch"


def check_not_lost(directory: Path, first_due: int) -> None:
    """Refuses to train a run anew that has lost its checkpoints.

    Args:
        directory: of a run without a checkpoint, which need not exist.
        first_due: step of its first checkpoint, by which it is judged if it is of a version that
            noted none.

    Raises:
        UserError: it had checkpoints.
    """
    lines = MetricsFile.read(directory / METRICS)
    last, first = lines[-1]["step"] if lines else 0, _first_saved(directory)
    if not (directory / SAVED).exists() and last > first_due:
        first = first_due
    if first is not None:
        raise UserError(
            f"{directory} was trained to step {max(first, last)}, and has no checkpoint any more; "
            f"put {directory / CHECKPOINTS} back, or give a new --run_dir"
        )


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


def initialize(method: Method, source: Path, model: ModelSettings) -> Path:
    """Loads the weights of all networks of a method from a checkpoint, not optimizer and queues.

    The checkpoint must hold exactly the networks of the method, with the same variables.

    Args:
        method: whose networks are set, in place.
        source: run directory (its newest undamaged checkpoint) or a directory `step_XXXXXXXX`.
        model: the network of the method.

    Returns:
        The path of the checkpoint that was read.

    Raises:
        UserError: there is no checkpoint, it is damaged, or it is of other networks.
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
    _check_network(source, model)
    read_checkpoint(source, method.networks, partial=True)
    unknown = item_names(source) - set(method.networks) - {"optimizer"}
    if unknown:
        raise UserError(
            f"--init_from={source} holds networks that this method lacks "
            f"({', '.join(sorted(unknown))}); give the --method of that run"
        )
    return source


def _check_network(checkpoint: Path, model: ModelSettings) -> None:
    """Checks that the run of a checkpoint has the network of another run.

    Shapes alone do not tell where the strides of a bottleneck are. A checkpoint that was taken out
    of its run tells nothing else.

    Raises:
        UserError: it has another; the message has its flags.
    """
    directory = run_of(checkpoint)
    if directory is None:
        return
    theirs = read_settings(directory).model
    if theirs.network_flags != model.network_flags:
        flags = " ".join(flagfiles.as_arguments(None, theirs.network_flags))
        raise UserError(f"--init_from={checkpoint} is of another network; give {flags}")
