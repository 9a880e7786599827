import pytest

from ssl_tf.networks import resnet
from tests.exporters.random_encoder import ONE_BLOCK_A_STAGE


@pytest.fixture
def one_block_a_stage(monkeypatch):
    """ResNets of depth 18 and 50 with one block in each stage."""
    monkeypatch.setitem(resnet.DEPTHS, 18, (ONE_BLOCK_A_STAGE, False))
    monkeypatch.setitem(resnet.DEPTHS, 50, (ONE_BLOCK_A_STAGE, True))
