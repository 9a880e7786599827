"""A run that evaluations of a test can judge, without its training."""

from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import PretrainSettings, flagfiles
from ssl_tf.training.checkpoints import Checkpoints
from ssl_tf.training.encoders import CHECKPOINTS


def pretrained_run(directory):
    """The directory of a run whose small encoder has a checkpoint."""
    directory.mkdir()
    flags = ("--dataset=none", "--depth=18", "--width=0.0625", "--stem=small", "--image_size=16")
    given = flagfiles.parse(flags, PretrainSettings)
    flagfiles.write_flagfile(given, directory / "flags.txt")
    Checkpoints(directory / CHECKPOINTS, keep=1, encoder=build_encoder(given.model, 5)).save(7)
    return directory
