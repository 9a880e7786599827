"""Images that any feature of their colour tells apart."""

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.networks import resnet
from tests.data.opened import source_of
from tests.exporters.random_encoder import ONE_BLOCK_A_STAGE


@pytest.fixture(scope="module", autouse=True)
def one_block_a_stage():
    """ResNet-18 has half its blocks: what is made of features does not depend on their number."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet.DEPTHS, 18, (ONE_BLOCK_A_STAGE, False))
        yield


@pytest.fixture(scope="session")
def coloured(tmp_path_factory):
    """Three classes that differ in colour: a folder any colour feature tells apart."""
    folder = tmp_path_factory.mktemp("coloured")
    random = np.random.default_rng(0)
    for c, name in enumerate(("red", "green", "blue")):
        (folder / name).mkdir()
        for i in range(20):
            pixels = random.integers(0, 90, [16, 16, 3])
            pixels[..., c] += 150
            tf.io.write_file(
                str(folder / name / f"{i:02d}.png"), tf.io.encode_png(np.uint8(pixels))
            )
    return source_of(image_folder=str(folder), max_bad_images=0).hold_out(15)
