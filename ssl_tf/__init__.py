"""Self-supervised pre-training of image encoders in TensorFlow/Keras.

Importing the package is cheap: TensorFlow is imported by what first needs it. The commands are
listed by `python -m ssl_tf`; from Python there is:

- `pretrain_settings`: the flags of a pre-training, from a flagfile and keyword arguments
- `pretrain`: trains an encoder by such settings
- `load_encoder`: the encoder of a run, an export or a file, as a Keras model
- `open_source`: images to learn from, as records of encoded images
"""

import importlib
import os
import platform
import sys
import typing

if typing.TYPE_CHECKING:
    from pathlib import Path

    import tensorflow as tf

    from ssl_tf.data.source import Source
    from ssl_tf.pretrain import main as pretrain
    from ssl_tf.settings import PretrainSettings

__version__ = "0.1.0"

# From TensorFlow 2.16 on, tf.keras is Keras 3; this package needs Keras 2, which tf_keras is there.
# TensorFlow asks for this variable when it is imported. TensorFlow 2.15, for the Pythons before
# 3.12, has a Keras of its own: tf_keras is there only where Model Garden brought it.
if sys.version_info >= (3, 12):
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
# Memory of a GPU is taken as it is needed. TensorFlow asks when it first touches the GPU, which may
# be long before a training asks for its devices.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
# Convolutions by oneDNN, on every x86 processor. TensorFlow takes it by itself only where there is
# AVX512-VNNI; with AVX2 alone a training step is then less than half as fast.
if platform.machine() == "x86_64":
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__all__ = ["__version__", "load_encoder", "open_source", "pretrain", "pretrain_settings"]


def pretrain_settings(flagfile: "str | Path | None" = None, **flags: object) -> "PretrainSettings":
    """Returns the settings of a pre-training.

    Args:
        flagfile: a recipe such as `configs/byol.flags`, or the `flags.txt` of a run.
        **flags: flags of `python -m ssl_tf.pretrain` by name, which override the flagfile. A flag
            that is a list takes a sequence. `auto=True` chooses what is not given from the images
            and the machine.

    Returns:
        Frozen settings, checked as on the command line.

    Raises:
        ssl_tf.errors.SettingsError: a flag is unknown, or its value cannot work.

    Examples:
        >>> import ssl_tf
        >>> settings = ssl_tf.pretrain_settings(
        ...     "configs/quickstart.flags", epochs=2, view_strategies=["byol_t", "byol_t_prime"]
        ... )
        >>> settings.optimization.epochs, settings.views.strategies
        (2.0, ('byol_t', 'byol_t_prime'))
    """
    from ssl_tf.pretrain import with_chosen
    from ssl_tf.settings import PretrainSettings, flagfiles

    arguments = with_chosen(flagfiles.as_arguments(flagfile, flags))
    return flagfiles.parse(arguments, PretrainSettings)


def load_encoder(run: "str | Path", step: int | None = None) -> "tf.keras.Model":
    """Returns the encoder of a run, of an export, or of a file with the weights of others.

    The model maps normalized images, float32 [N, H, W, 3] of any size, to features, float32 [N, D].
    Its method `preprocess` makes them: uint8 [H, W, 3] or [N, H, W, 3] of any size are resized,
    cropped at the centre and normalized as in evaluation, also inside `tf.data.Dataset.map`.

    Args:
        run: the run directory; or what `--init_encoder` takes without `--allow_pickle`: the
            directory of a SavedModel of `python -m ssl_tf.export`, or a file of weights.
        step: of the run's checkpoint; None loads the newest one that is whole.

    Returns:
        A `tf.keras.Model` with all weights. It is trainable, and its batch normalization moves in
        training: set `encoder.trainable = False` to train a head on frozen features.

    Raises:
        ssl_tf.errors.UserError: the directory holds no run, no checkpoint, or not the one asked
            for; or a SavedModel or a file of weights has no encoder of ours.

    Examples:
        >>> import numpy as np, ssl_tf
        >>> encoder = ssl_tf.load_encoder("runs/mine")
        >>> images = encoder.preprocess(np.zeros([2, 60, 80, 3], np.uint8))
        >>> images.shape, encoder(images).shape
        (TensorShape([2, 48, 48, 3]), TensorShape([2, 128]))
        >>> encoder.trainable
        True
    """
    from pathlib import Path

    from ssl_tf.training.encoder_models import load_encoder_model

    return load_encoder_model(Path(run), step or 0)


def open_source(**flags: object) -> "Source":
    """Opens images to learn from or to judge by, as `python -m ssl_tf.pretrain` does.

    Args:
        **flags: its data flags by name, such as `image_folder`, `dataset`, `data_dir`, `split` or
            `tfrecord`. One source must be named. `holdout` leaves out the images that a run holds
            out, and `proposals` adds boxes.

    Returns:
        The source: `size`, `num_classes` and `class_names`; `sequence()` gives each record once,
        in canonical order, `stream(seed, start, stop)` a reproducible shuffle. Both are
        `tf.data.Dataset`.

    Raises:
        ssl_tf.errors.UserError: a flag cannot work, there are no such images, or not as many as
            `num_images` or `num_classes` say.

    Examples:
        >>> import ssl_tf
        >>> source = ssl_tf.open_source(dataset="scenes", split="test", scenes=40)
        >>> source.size, source.class_names[:2]
        (10, ('disc', 'square'))
        >>> record = next(source.sequence().as_numpy_iterator())
        >>> sorted(record)
        ['boxes', 'id', 'image', 'index', 'label', 'row']
    """
    from ssl_tf.data.sources.opening import open_training_source
    from ssl_tf.settings import DataSettings, flagfiles

    data = flagfiles.from_keywords(DataSettings, **flags)
    return open_training_source(data, boxes=bool(data.proposals))[0]


def __getattr__(name: str) -> object:
    # The module of the command, which can be called: a function of this name would be replaced by
    # the module as soon as somebody imports that.
    if name == "pretrain":
        return importlib.import_module("ssl_tf.pretrain")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
