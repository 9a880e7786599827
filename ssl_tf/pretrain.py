"""Pre-trains an encoder: `python -m ssl_tf.pretrain --flagfile=configs/ma_ssrl.flags`."""

from ssl_tf import command
from ssl_tf.settings import PretrainSettings


def main(settings: PretrainSettings) -> None:
    """Runs the settings to their end, from the newest checkpoint where there is one."""
    if settings.run.dry_run:
        from ssl_tf.pretraining.dry_run import describe

        print(describe(settings))
        return
    from ssl_tf.pretraining.run import run

    run(settings)


if __name__ == "__main__":
    command.run(main, PretrainSettings)
