"""A pre-training run, on one machine or several."""

import contextlib
import dataclasses
import sys
from pathlib import Path

import tensorflow as tf

from ssl_tf.data.sources.source_checks import check_guesses
from ssl_tf.errors import SettingsError
from ssl_tf.evaluation.features import Encode
from ssl_tf.files import write_json
from ssl_tf.locks import LOCK, SUFFIX, exclusive
from ssl_tf.methods.base import Method
from ssl_tf.methods.encoder_work import encoder_work
from ssl_tf.networks.digest import digest
from ssl_tf.networks.precision import policy_scope
from ssl_tf.pretraining.announcement import announce
from ssl_tf.pretraining.compiling import build_compiled, steps_at_once
from ssl_tf.pretraining.inputs import build_recipe, distributed_batches, show_first_views
from ssl_tf.pretraining.monitors import RepresentationMonitor
from ssl_tf.pretraining.neighbour_picture import NEIGHBOURS, NeighbourPicture, random_encoder
from ssl_tf.pretraining.opened_images import Images, open_images
from ssl_tf.pretraining.restoring import check_not_lost, note_saved, resume_or_init
from ssl_tf.settings import PretrainSettings, fields
from ssl_tf.training.callbacks import ReportStep, SaveCheckpoint, StopOnNaN
from ssl_tf.training.checkpoints import Checkpoints, check_name
from ssl_tf.training.clock import StepClock
from ssl_tf.training.cluster import Cluster, read_cluster
from ssl_tf.training.data_places import HELD_OUT, note_places
from ssl_tf.training.data_record import digest_data, keep_data
from ssl_tf.training.environment import note_environment
from ssl_tf.training.plan import Plan, make_plan
from ssl_tf.training.profiler import Profile
from ssl_tf.training.run_directory import (
    COMPUTE,
    METRICS,
    MetricsFile,
    as_begun,
    check_run,
    open_run,
)
from ssl_tf.training.run_log import PICTURE, RunLog
from ssl_tf.training.stop_signals import StopSignals
from ssl_tf.training.strategy import make_strategy
from ssl_tf.training.tracking import Track, check_tracker, tracked
from ssl_tf.training.trainer import fit
from ssl_tf.training.workers import Workers
from ssl_tf.views.recipe import Recipe


# No graph here asks a tensor in an `if`; to convert all functions would take seconds of each start.
@tf.autograph.experimental.do_not_convert
def run(settings: PretrainSettings) -> None:
    """Pre-trains to the last step, from the newest checkpoint if there is one.

    Raises:
        UserError: an error that the user can correct, in one line.
    """
    check_tracker(settings.run.track)
    cluster = read_cluster()
    directory = Path(settings.run.run_dir)
    settings = as_begun(settings)
    check_name(directory)
    if cluster.workers == 1:
        check_run(settings)
    # Before the first heartbeat: that of a second start would be taken for one of the first.
    lock = LOCK if cluster.is_chief else f"worker_{cluster.index}{SUFFIX}"
    with (
        exclusive(directory, lock),
        Workers(directory, cluster, settings.run.worker_timeout) as workers,
    ):
        # Before all else that workers do together, which other flags would make different.
        flags = fields.result_flags(settings)
        workers.agree("flags", {f"--{name}": value for name, value in flags.items()})
        training = _open(settings, cluster, workers)
        if not training.is_complete:
            _fit(training, workers)
        else:
            total = training.plan.total_steps
            print(f"{directory} is complete: {total} of {total} steps", file=sys.stderr)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Training:
    """A run that is ready to take its next step.

    Attributes:
        settings: of the run.
        cluster: the machines that take part.
        strategy: the replicas of all of them.
        images: to learn from, and those of the monitors.
        plan: step counts.
        method: compiled, with the weights of `start_step`.
        recipe: of the views.
        checkpoints: of the run.
        start_step: from which this process continues.
    """

    settings: PretrainSettings
    cluster: Cluster
    strategy: tf.distribute.Strategy
    images: Images
    plan: Plan
    method: Method
    recipe: Recipe
    checkpoints: Checkpoints
    start_step: int

    @property
    def directory(self) -> Path:
        return Path(self.settings.run.run_dir)

    @property
    def is_complete(self) -> bool:
        return self.start_step >= self.plan.total_steps


def _open(settings: PretrainSettings, cluster: Cluster, workers: Workers) -> _Training:
    """Opens the images, builds the method and restores it to the step where the run continues."""
    run, optimization = settings.run, settings.optimization
    if cluster.workers > 1 and settings.model.batch_norm == "shuffled":
        # Every replica then has its own statistics, which the chief alone cannot save.
        raise SettingsError(
            "--batch_norm=shuffled: works on one machine only; give --batch_norm=synchronized"
        )
    # First, because it may split the CPU, which must come before any operation.
    strategy = make_strategy(
        run.logical_cpus, optimization.batch_size, optimization.accumulate, cluster
    )
    tf.keras.utils.set_random_seed(run.seed)
    images = open_images(settings)
    source = images.source
    if cluster.workers > 1:
        digests = {n: dataclasses.asdict(digest_data(s)) for n, s in images.parts.items()}
        facts = {f"{name} images: {k}": v for name, d in digests.items() for k, v in d.items()}
        workers.agree("images", facts)
    plan = make_plan(optimization, source.size)
    if cluster.is_chief:
        check_run(settings)
    method = build_compiled(settings, strategy, plan, source.num_classes, source.multi_label)
    method.steps_at_once = steps_at_once(settings, plan)
    check_guesses(source, judged="label" in method.needs, begun=settings.recorded.is_file())
    with strategy.scope(), policy_scope(run.precision):
        # The chief first: it may move a damaged checkpoint aside.
        workers.wait_for_chief("start step")
        checkpoints, start_step, origin = resume_or_init(settings, method)
        if not start_step:
            check_not_lost(Path(run.run_dir), plan.steps_of(run.checkpoint_every))
        workers.agree("start step", start_step)
        if cluster.workers > 1:
            # Each has read them by itself; gradients alone are exchanged.
            workers.agree("weights", {n: digest(x) for n, x in method.networks.items()})
    training = _Training(
        settings=settings,
        cluster=cluster,
        strategy=strategy,
        images=images,
        plan=plan,
        method=method,
        recipe=build_recipe(settings, source),
        checkpoints=checkpoints,
        start_step=start_step,
    )
    replicas = strategy.num_replicas_in_sync
    if cluster.is_chief:
        _record_start(training, replicas)
    if not training.is_complete:
        announce(settings, images, training.recipe, plan, replicas, origin)
    return training


def _record_start(training: _Training, replicas: int) -> None:
    """Writes into the run directory what is known of a run before its next step."""
    settings = training.settings
    directory = open_run(settings)
    keep_data(directory, training.images.parts, replaceable={HELD_OUT: _tell_of_other_monitors})
    note_places(directory, settings)
    if not training.start_step:
        note_saved(directory, None)
    if not training.is_complete:
        note_environment(directory, replicas, settings.in_parts)
    work = encoder_work(training.method, settings.views)
    write_json(directory / COMPUTE, dataclasses.asdict(work))


def _tell_of_other_monitors() -> None:
    print(
        "the images that the monitors look at are others than before, and so are their figures "
        "from here on",
        file=sys.stderr,
    )


def _fit(training: _Training, workers: Workers) -> None:
    """Takes the remaining steps, and prints how the time was spent."""
    plan, start_step = training.plan, training.start_step
    with contextlib.ExitStack() as stack:
        signals = stack.enter_context(StopSignals())
        callbacks = [StopOnNaN(start_step), ReportStep(start_step, workers, signals)]
        clock = None
        if training.cluster.is_chief:
            metrics = MetricsFile(training.directory / METRICS, start_step)
            clock = StepClock(start_step, plan.batch_size, metrics.last)
            saver = SaveCheckpoint(
                start_step,
                training.checkpoints,
                plan.steps_of(training.settings.run.checkpoint_every),
                plan.total_steps,
                signals,
                clock.pause,
            )
            flags = fields.as_dict(training.settings)
            track = stack.enter_context(
                tracked(training.settings.run.track, training.directory, flags)
            )
            callbacks += [clock, *_observers(training, metrics, clock, track), saver]
        fit(
            training.method,
            distributed_batches(
                training.settings,
                training.method,
                training.images.source,
                training.recipe,
                training.strategy,
                plan,
                start_step,
            ),
            source=training.images.source,
            steps=plan.total_steps - start_step,
            callbacks=callbacks,
        )
    summary = clock.summary() if clock else f"worker {training.cluster.index}"
    unreadable = training.images.source.unreadable.summary()
    print(f"{summary}\ndone: {training.directory}{unreadable}", file=sys.stderr)


def _observers(
    training: _Training, metrics: MetricsFile, clock: StepClock, track: Track
) -> list[tf.keras.callbacks.Callback]:
    """Callbacks that observe the run without changing it, in the order of their calls."""
    settings, plan, start_step = training.settings, training.plan, training.start_step
    seed, directory = settings.run.seed, training.directory
    if start_step == 0:
        show_first_views(training.images.source, training.recipe, seed, directory / PICTURE)
    log = RunLog(
        start_step,
        metrics,
        clock,
        last_step=plan.total_steps,
        images=plan.images,
        batch_size=plan.batch_size,
        every=settings.monitor.log_every,
        constants={"chance_loss": training.method.chance_loss},
        learning_rate=plan.learning_rate_schedule(),
        track=track,
    )
    random = None  # at step 0 of a run from scratch the encoder is the random one
    if start_step or not settings.run.begins_randomly:
        random = random_encoder(settings.model, seed)
    source, held_out = training.images.source, training.images.held_out
    neighbours = NeighbourPicture(source, held_out, settings.views.image_size, random=random)

    def look(step: int, encode: Encode) -> None:
        picture = neighbours.draw(encode, step, directory / NEIGHBOURS)
        log.write_picture("nearest neighbours", picture, step)

    monitor = RepresentationMonitor(
        start_step,
        method=training.method,
        recipe=training.recipe,
        settings=settings.monitor,
        log=log,
        source=source,
        held_out=held_out,
        as_scenes=training.images.as_scenes,
        every=plan.steps_of(settings.monitor.monitor_every),
        last_step=plan.total_steps,
        seed=seed,
        look=look,
    )
    profiled = settings.run.profiled_steps
    profile = [Profile(start_step, directory / "tensorboard", *profiled)] if profiled else []
    return [*profile, monitor, log]
