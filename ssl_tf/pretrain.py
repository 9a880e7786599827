"""Pre-trains an encoder: `python -m ssl_tf.pretrain --flagfile=configs/ma_ssrl.flags`."""

import sys

from ssl_tf import command
from ssl_tf.settings import PretrainSettings


def main(settings: PretrainSettings) -> None:
    """Runs the settings to their end, from the newest checkpoint where there is one."""
    import tensorflow as tf

    from ssl_tf.data.decoding import UnreadableImages
    from ssl_tf.data.opening import open_held_out, open_training_source
    from ssl_tf.evaluation.monitors import RepresentationMonitor
    from ssl_tf.methods.inputs import method_batches, show_first_views
    from ssl_tf.methods.registry import build_method, compile_method
    from ssl_tf.methods.restoring import run_checkpoints
    from ssl_tf.training import callbacks
    from ssl_tf.training.plan import make_plan
    from ssl_tf.training.run_directory import open_run
    from ssl_tf.training.strategy import make_strategy
    from ssl_tf.training.trainer import fit
    from ssl_tf.views.recipe import Recipe
    from ssl_tf.views.regions import smallest_areas

    run, batch_size = settings.run, settings.optimization.batch_size
    if run.dry_run:
        from ssl_tf.dry_run import describe

        print(describe(settings))
        return
    strategy = make_strategy(run.logical_cpus, batch_size)
    tf.keras.utils.set_random_seed(run.seed)
    source, held_out = open_training_source(settings.data, settings.views.object_crops)
    held_out = held_out or open_held_out(settings.data, settings.monitor.monitor_split)
    plan = make_plan(settings.optimization, source.size)
    directory = open_run(settings)
    with strategy.scope():
        method = build_method(settings, plan, strategy.num_replicas_in_sync > 1)
        compile_method(method, settings.optimization, plan)
        checkpoints = run_checkpoints(directory, method, run.keep_checkpoints)
        start_step = checkpoints.restore_latest() or 0
    if start_step >= plan.total_steps:
        print(f"{directory} is complete: {start_step} of {plan.total_steps} steps", file=sys.stderr)
        return
    print(
        f"{source.name}: {source.size} images, {plan.total_steps} steps of {batch_size} on "
        f"{strategy.num_replicas_in_sync} replica(s), from step {start_step}, in {directory}",
        file=sys.stderr,
    )
    recipe = Recipe(
        settings.views,
        smallest_areas(settings.views, source),
        with_original="original" in method.needs,
    )
    unreadable = UnreadableImages(settings.data.max_bad_images)
    batches = method_batches(
        method,
        source,
        recipe,
        on_device=settings.views.augment_on == "device",
        seed=run.seed,
        batch_size=batch_size,
        start_step=start_step,
        stop_step=plan.total_steps,
        unreadable=unreadable,
    )
    if start_step == 0:
        show_first_views(source, recipe, run.seed, directory / "views.png", unreadable)
    clock = callbacks.StepClock(start_step, batch_size)
    record = callbacks.Record(
        start_step,
        directory,
        clock,
        last_step=plan.total_steps,
        images=plan.images,
        batch_size=batch_size,
        every=settings.monitor.log_every,
        constants={"chance_loss": method.chance_loss},
        learning_rate=plan.learning_rate_schedule(),
    )
    monitor = RepresentationMonitor(
        start_step,
        method=method,
        recipe=recipe,
        settings=settings.monitor,
        record=record,
        source=source,
        held_out=held_out,
        every=plan.steps_of(settings.monitor.monitor_every),
        last_step=plan.total_steps,
        seed=run.seed,
        unreadable=unreadable,
    )
    saver = callbacks.SaveCheckpoint(
        start_step, checkpoints, plan.steps_of(run.checkpoint_every), plan.total_steps
    )
    fit(
        method,
        batches,
        source=source,
        steps=plan.total_steps - start_step,
        callbacks=[callbacks.StopOnNaN(start_step), clock, monitor, record, saver],
        unreadable=unreadable,
    )
    print(f"done: {directory}{unreadable.summary()}", file=sys.stderr)


if __name__ == "__main__":
    command.run(main, PretrainSettings)
