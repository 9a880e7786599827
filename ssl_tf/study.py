"""Runs a study, arms and seeds of one file, and writes its table.

`python -m ssl_tf.study --study=studies/ma_ssrl_cifar10.toml --data_dir=DATA --output=DIR`
"""

from pathlib import Path

from ssl_tf import command
from ssl_tf.errors import UserError, warn
from ssl_tf.settings import StudySettings


def main(settings: StudySettings) -> None:
    """Runs or resumes a study, and writes its table, its figures as JSON, and its picture."""
    from ssl_tf.experiments import stop_rule
    from ssl_tf.experiments.finished import make_again, take_finished
    from ssl_tf.experiments.outcome import TABLE, missing, write_outcome
    from ssl_tf.experiments.preview import preview
    from ssl_tf.experiments.records import check_flags, check_inputs, keep_study, read_record
    from ssl_tf.experiments.runner import Runner
    from ssl_tf.experiments.study_file import read_study
    from ssl_tf.experiments.trials import Trial, make_trials
    from ssl_tf.files import prepare_output

    study = read_study(settings.study)
    trials = make_trials(study, settings)
    output = settings.directory
    if settings.dry_run:
        preview(study, trials)
        check_inputs(trials, output)
        return
    prepare_output(output, is_directory=True)
    for trial in trials:
        check_flags(read_record(output, trial.name), trial, output)
    if settings.finished:
        take_finished(Path(settings.finished), output, trials)
    if settings.report:
        write_outcome(study, trials, output)
        return
    check_inputs(trials, output)
    keep_study(output, study)

    def report() -> None:
        try:
            write_outcome(study, trials, output)
        except UserError as error:  # the runs go on; the last report raises it
            warn(f"no table yet: {error}")

    def is_stopped(trial: Trial) -> bool:
        return stop_rule.is_stopped(study, trials, trial, output)

    if settings.finished:
        report()  # which the stop rule reads
    make_again(output, trials, settings.silence, is_stopped)
    Runner(output, trials, settings.silence, is_stopped=is_stopped, finished=report).run()
    write_outcome(study, trials, output)
    print((output / TABLE).read_text(), end="")
    left = missing(study, trials, output)
    if left:
        raise UserError(
            f"{len(left)} of {len(trials)} runs are missing, {', '.join(left)}; "
            f"{output / stop_rule.RESULTS} has the others, and the same command tries these again"
        )


if __name__ == "__main__":
    command.run(main, StudySettings)
