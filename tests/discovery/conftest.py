import contextlib

import numpy as np
import pytest

from ssl_tf.exporters.exported import Exported
from ssl_tf.exporters.formats import export_encoder
from ssl_tf.networks import resnet
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import ModelSettings
from tests.exporters.random_encoder import ONE_BLOCK_A_STAGE


@contextlib.contextmanager
def four_blocks():
    """ResNet-18 has one block a stage."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet.DEPTHS, 18, (ONE_BLOCK_A_STAGE, False))
        yield


@pytest.fixture(scope="module", autouse=True)
def one_block_a_stage():
    with four_blocks():
        yield


@pytest.fixture(scope="session")
def tiny_encoder():
    """A random ResNet-18 whose maps differ from place to place."""
    with four_blocks():
        return build_encoder(ModelSettings(depth=18, width=0.125), seed=3)


@pytest.fixture(scope="session")
def exported(tiny_encoder, tmp_path_factory):
    """Its SavedModel."""
    path = tmp_path_factory.mktemp("exported") / "encoder"
    export_encoder(Exported(tiny_encoder, ModelSettings(depth=18, width=0.125), 32), path, {})
    return path


@pytest.fixture
def photographs(tmp_path):
    """A folder of six images with a bright square each, at different places."""
    import tensorflow as tf

    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(6):
        image = random.integers(0, 60, [64 + 32 * (number % 2), 96, 3], np.uint8)
        top, left = random.integers(8, 24), random.integers(8, 48)
        image[top : top + 24, left : left + 30] = [250, 200, 40]
        encoded = tf.io.encode_png(image)
        tf.io.write_file(str(folder / f"{number}.png"), encoded)
    return folder
