"""The plan of a run from its settings alone: no step is taken, nothing is written."""

from typing import NamedTuple

import tensorflow as tf

from ssl_tf.data.sources.opening import check_holdout
from ssl_tf.data.sources.source_checks import check_guesses
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.methods.base import Method
from ssl_tf.methods.batch_parts import check_parts
from ssl_tf.methods.encoder_work import encoder_work
from ssl_tf.methods.registry import build_method
from ssl_tf.networks.precision import activation_bytes
from ssl_tf.networks.resnet import activation_floats
from ssl_tf.pretraining.compiling import compile_method
from ssl_tf.pretraining.machine import read_machine
from ssl_tf.pretraining.opened_images import open_images
from ssl_tf.pretraining.resident import should_be_resident
from ssl_tf.pretraining.restoring import first_weights
from ssl_tf.settings import PretrainSettings, ViewSettings
from ssl_tf.training.checkpoints import Checkpoints, checkpoint_bytes
from ssl_tf.training.data_places import HELD_OUT
from ssl_tf.training.data_record import check_data
from ssl_tf.training.plan import make_plan
from ssl_tf.training.run_directory import CHECKPOINTS, as_begun
from ssl_tf.training.strategy import make_strategy, should_jit_compile
from ssl_tf.training.tracking import check_tracker
from ssl_tf.views.canvases import canvas_bytes, canvas_side

_GIB = 2**30


def describe(settings: PretrainSettings) -> str:
    """The plan of a run as text, one fact a line.

    If the data is not on this machine, --num_images and --num_classes replace it.

    Raises:
        UserError: the data cannot be opened and --num_images is not given, features of it that
            matter were guessed, or it is other data than the run in the directory began with.
        SettingsError: flags do not fit the data, or each other on this machine.
    """
    settings = as_begun(settings)
    optimization, views = settings.optimization, settings.views
    # First, because it may split the CPU, which must come before any operation.
    strategy = make_strategy(
        settings.run.logical_cpus, optimization.batch_size, optimization.accumulate
    )
    replicas = strategy.num_replicas_in_sync
    check_tracker(settings.run.track)
    should_jit_compile(settings.run.xla, strategy)
    try:
        opened = open_images(settings)
        source = opened.source
        name, images, side = source.name, source.size, source.largest_side
        labels = source.num_classes, source.multi_label
    except UserError as error:
        if not settings.data.num_images or isinstance(error, SettingsError):
            raise
        name, images = f"not opened ({error}); --num_images", settings.data.num_images
        images -= check_holdout(settings.data, "--num_images", images)
        labels, side, source = (settings.data.num_classes or None, False), None, None
    if source is not None and settings.recorded.is_file():
        check_data(settings.recorded.parent, opened.parts, replaceable=[HELD_OUT])
    plan = make_plan(optimization, images)
    method = build_method(settings, plan, replicas > 1, *labels)
    check_parts(method, settings, replicas)
    if source is not None:
        check_guesses(source, judged="label" in method.needs, begun=settings.recorded.is_file())
    compile_method(method, optimization, plan)
    learned = sum(v.shape.num_elements() for v in method.learned_variables)
    encoder = sum(v.shape.num_elements() for v in method.encoder.trainable_variables)
    work = encoder_work(method, views)
    small = f"; {views.small_views} of {views.small_image_size} px" if views.small_views else ""
    lines = [
        f"images            {images} ({name})",
        f"views             {len(views.strategies)} of {views.image_size} px: "
        f"{', '.join(views.strategies)}; crop {views.crop_law}; pairs {len(views.pairs)}{small}",
        f"steps             {plan.total_steps} of batch {plan.batch_size} "
        f"({optimization.epochs:g} epochs)",
        f"warm-up           {plan.warmup_steps} steps",
        f"learning rate     {plan.learning_rate:g} at its peak "
        f"({optimization.base_learning_rate:g} x {plan.batch_size} / 256), "
        f"{optimization.optimizer}",
        f"work              {work.forward_units:g} passes of the encoder an image, "
        f"{plan.total_steps * plan.batch_size * work.flops / 1e15:.3g} PFLOP in all",
        f"parameters        {learned:,} learned; encoder {encoder:,}",
        f"checkpoint        {checkpoint_bytes(_saved(method)) / 2**20:.0f} MiB, "
        f"{settings.run.keep_checkpoints} kept",
        f"replicas here     {replicas}",
    ]
    if settings.recorded.is_file():
        done = max(Checkpoints(settings.recorded.parent / CHECKPOINTS, 1).steps(), default=0)
        lines.insert(0, f"run directory     {settings.run.run_dir}, goes on from step {done}")
    else:
        lines.append(f"start             {_start(settings, method)}")
    for count in sorted({1, 8, replicas}):
        memory = estimated_bytes(method, settings, count, images, side)
        canvases = f"{memory.canvases / _GIB:.1f} canvases, " if memory.canvases else ""
        lines.append(
            f"memory a replica  {memory.total / _GIB:.1f} GiB on {count} "
            f"({memory.state / _GIB:.1f} variables and gradients, {canvases}the rest activations; "
            "estimated)"
        )
    return "\n".join(lines)


def _start(settings: PretrainSettings, method: Method) -> str:
    """Where a new run has its weights from, which may not be on this machine."""
    try:
        return first_weights(settings, method)
    except UserError as error:
        return f"not opened ({error})"


class Memory(NamedTuple):
    """Bytes of a replica.

    Attributes:
        state: variables and gradients.
        activations: at the peak of a step.
        canvases: the images from which the step makes views.
    """

    state: float
    activations: float
    canvases: float

    @property
    def total(self) -> float:
        return self.state + self.activations + self.canvases


def estimated_bytes(
    method: Method, settings: PretrainSettings, replicas: int, images: int, largest: int | None
) -> Memory:
    """The memory that a replica takes.

    Args:
        method: compiled.
        settings: of the run.
        replicas: how many there are.
        images: number of training images.
        largest: their longest side in pixels; None where that is not known.
    """
    parts = settings.optimization.accumulate
    share = settings.optimization.batch_size / replicas
    # The sums over parts stand beside the gradients of the part that is passed.
    gradients = checkpoint_bytes(method.learned_variables) * (1 if parts == 1 else 2)
    return Memory(
        checkpoint_bytes(_saved(method)) + gradients,
        _activation_bytes(method, settings) * share / parts,
        _canvas_bytes(settings.views, share, images, largest),
    )


def _canvas_bytes(views: ViewSettings, share: float, images: int, largest: int | None) -> float:
    """Bytes of the canvases on a device: of all images, or of its share of a batch."""
    if views.augment_on == "host":
        return 0.0
    side = canvas_side(views.canvas, largest, views.image_size)
    # Whether "on" fits is told when the run starts, on its own machine.
    resident = views.resident == "on" or should_be_resident(
        views.resident, images, side, read_machine()
    )
    return canvas_bytes(images if resident else share, side)


def _saved(method: Method) -> list[tf.Variable]:
    """The variables of a checkpoint."""
    saved = [v for network in method.networks.values() for v in network.variables]
    return [*saved, *method.state.values(), *method.optimizer.variables]


def _activation_bytes(method: Method, settings: PretrainSettings) -> float:
    """Bytes of activations that an image takes at the peak of a step, in the networks' precision.

    Every pass of the online encoder is kept for the gradients. Of the target encoder one view is in
    memory.
    """
    views = settings.views
    floats = activation_floats(method.encoder, views.image_size) * method.encoder_passes
    if views.small_views:
        floats += activation_floats(method.encoder, views.small_image_size) * views.small_views
    return activation_bytes(settings.run.precision) * floats
