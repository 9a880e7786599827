"""The pre-training stage: everything wired together, on one machine or several."""

import dataclasses
import sys
from pathlib import Path

import tensorflow as tf

from ssl_tf.data.decoding import UnreadableImages
from ssl_tf.data.order import Share
from ssl_tf.data.source import Source
from ssl_tf.data.sources.opening import open_held_out, open_training_source
from ssl_tf.errors import SettingsError
from ssl_tf.methods.base import Method
from ssl_tf.methods.registry import build_method, compile_method
from ssl_tf.networks.precision import arithmetic
from ssl_tf.pretraining.inputs import method_batches, show_first_views
from ssl_tf.pretraining.monitors import RepresentationMonitor
from ssl_tf.pretraining.restoring import resume_or_init
from ssl_tf.settings import PretrainSettings
from ssl_tf.training.callbacks import ReportStep, SaveCheckpoint, StopOnNaN
from ssl_tf.training.clock import StepClock
from ssl_tf.training.cluster import Cluster, read_cluster
from ssl_tf.training.plan import Plan, make_plan
from ssl_tf.training.profiler import Profile
from ssl_tf.training.run_directory import MetricsFile, check_run, open_run
from ssl_tf.training.run_log import Record
from ssl_tf.training.stop_signals import StopSignals
from ssl_tf.training.strategy import compiles, make_strategy
from ssl_tf.training.trainer import fit
from ssl_tf.training.workers import Workers
from ssl_tf.views.recipe import Recipe
from ssl_tf.views.regions import smallest_areas


def run(settings: PretrainSettings) -> None:
    """Pre-trains to the end of the settings, from the newest checkpoint where there is one.

    Raises:
        UserError: what the user can mend, in one line.
    """
    cluster = read_cluster()
    directory = Path(settings.run.run_dir)
    with Workers(directory, cluster, settings.run.worker_timeout) as workers:
        _train(settings, directory, cluster, workers)


@dataclasses.dataclass(frozen=True)
class _Parts:
    """What the callbacks look at."""

    settings: PretrainSettings
    directory: Path
    method: Method
    recipe: Recipe
    source: Source
    held_out: Source | None
    plan: Plan
    start_step: int
    unreadable: UnreadableImages


def _train(settings: PretrainSettings, directory: Path, cluster: Cluster, workers: Workers) -> None:
    run, optimization, views = settings.run, settings.optimization, settings.views
    batch_size = optimization.batch_size
    if cluster.workers > 1 and settings.model.batch_norm == "shuffled":
        # Every replica then has statistics of its own, which the chief cannot save alone.
        raise SettingsError(
            "--batch_norm=shuffled: works on one machine only; give --batch_norm=synchronized"
        )
    strategy = make_strategy(run.logical_cpus, batch_size, optimization.accumulate, cluster)
    replicas = strategy.num_replicas_in_sync
    on_device = views.augment_on == "device"
    tf.keras.utils.set_random_seed(run.seed)
    source, held_out = open_training_source(settings.data, views.object_crops)
    held_out = held_out or open_held_out(settings.data, settings.monitor.monitor_split)
    plan = make_plan(optimization, source.size)
    if cluster.is_chief:
        check_run(settings)
    with strategy.scope(), arithmetic(run.precision):
        method = build_method(settings, plan, replicas > 1, source.num_classes, source.multi_label)
        compile_method(method, optimization, plan, run.precision)
        method.compile_step = compiles(run.xla, strategy, on_device)
        method.steps_at_once = run.steps_per_execution
        # The chief first: it may set a damaged checkpoint aside.
        workers.await_chief("start step")
        checkpoints, start_step, origin = resume_or_init(run, method)
        workers.agree("start step", start_step)
    if cluster.is_chief:
        open_run(settings, replicas)
    if start_step >= plan.total_steps:
        print(f"{directory} is complete: {start_step} of {plan.total_steps} steps", file=sys.stderr)
        return
    print(
        f"{source.name}: {source.size} images, {plan.total_steps} steps of {batch_size} on "
        f"{replicas} replica(s), {origin}, in {directory}",
        file=sys.stderr,
    )
    recipe = Recipe(views, smallest_areas(views, source), with_original="original" in method.needs)
    unreadable = UnreadableImages(settings.data.max_bad_images)

    def batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
        made = method_batches(
            method,
            source,
            recipe,
            on_device=on_device,
            seed=run.seed,
            batch_size=batch_size,
            start_step=start_step,
            stop_step=plan.total_steps,
            unreadable=unreadable,
            share=Share(batch_size, context.input_pipeline_id, context.num_input_pipelines),
        )
        return made.rebatch(batch_size // replicas) if replicas > 1 else made

    parts = _Parts(
        settings, directory, method, recipe, source, held_out, plan, start_step, unreadable
    )
    with StopSignals() as signals:
        callbacks = [StopOnNaN(start_step), ReportStep(start_step, workers, signals)]
        if cluster.is_chief:
            metrics = MetricsFile(directory / "metrics.jsonl", start_step)
            clock = StepClock(start_step, batch_size, metrics.last)
            saver = SaveCheckpoint(
                start_step,
                checkpoints,
                plan.steps_of(run.checkpoint_every),
                plan.total_steps,
                signals,
            )
            callbacks += [clock, *_observers(parts, metrics, clock), saver]
        fit(
            method,
            strategy.distribute_datasets_from_function(batches),
            source=source,
            steps=plan.total_steps - start_step,
            callbacks=callbacks,
            unreadable=unreadable,
        )
    verdict = clock.verdict() if cluster.is_chief else f"worker {cluster.index}"
    print(f"{verdict}\ndone: {directory}{unreadable.summary()}", file=sys.stderr)


def _observers(
    parts: _Parts, metrics: MetricsFile, clock: StepClock
) -> list[tf.keras.callbacks.Callback]:
    """What looks at the run without changing it, in the order in which it must be called."""
    settings, plan, start_step = parts.settings, parts.plan, parts.start_step
    directory = parts.directory
    if start_step == 0:
        views = directory / "views.png"
        show_first_views(parts.source, parts.recipe, settings.run.seed, views, parts.unreadable)
    record = Record(
        start_step,
        metrics,
        clock,
        last_step=plan.total_steps,
        images=plan.images,
        batch_size=plan.batch_size,
        every=settings.monitor.log_every,
        constants={"chance_loss": parts.method.chance_loss},
        learning_rate=plan.learning_rate_schedule(),
    )
    monitor = RepresentationMonitor(
        start_step,
        method=parts.method,
        recipe=parts.recipe,
        settings=settings.monitor,
        record=record,
        source=parts.source,
        held_out=parts.held_out,
        every=plan.steps_of(settings.monitor.monitor_every),
        last_step=plan.total_steps,
        seed=settings.run.seed,
        unreadable=parts.unreadable,
    )
    profiled = settings.run.profiled_steps
    profile = [Profile(start_step, directory / "tensorboard", *profiled)] if profiled else []
    return [*profile, monitor, record]
