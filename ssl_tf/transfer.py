"""Transfers an encoder to a suite of other data sets.

`python -m ssl_tf.transfer --flagfile=configs/transfer_ma_ssrl.flags --checkpoint=RUN`
"""

from pathlib import Path

from ssl_tf import command
from ssl_tf.files import prepare_output, write_text
from ssl_tf.locks import exclusive
from ssl_tf.settings import SUITES, TransferSettings


def main(settings: TransferSettings) -> None:
    """Evaluates the suite and writes RUN/transfer/table.md, published rows and those of the run."""
    from ssl_tf.evaluation.context import open_encoders
    from ssl_tf.evaluation.report_names import TRANSFERRED
    from ssl_tf.evaluation.transfer import run_suite
    from ssl_tf.evaluation.transfer_table import tables
    from ssl_tf.training.run_directory import check_owner, read_settings
    from ssl_tf.training.strategy import make_strategy

    strategy = None
    if settings.protocol == "finetune":
        # First, because a CPU can be split only before any operation runs on it.
        strategy = make_strategy(settings.tuning.logical_cpus, settings.tuning.batch_size)
    opened = open_encoders(settings.encoder)
    checkpoint = settings.encoder.checkpoint
    run = Path(checkpoint or settings.encoder.init.init_encoder)
    directory = Path(settings.output) if settings.output else run / TRANSFERRED
    is_start = bool(checkpoint) and read_settings(run).run.begins_randomly
    if settings.output:
        check_owner(directory, [directory, directory.parent], checkpoint)
        prepare_output(directory, is_directory=True)
    with exclusive(directory):
        try:
            run_suite(settings, opened, directory, strategy)
        finally:
            text = tables(directory, SUITES[settings.suite], run.resolve().name, is_start)
            if text:
                write_text(directory / "table.md", text)
                print(text, end="")


if __name__ == "__main__":
    command.run(main, TransferSettings)
