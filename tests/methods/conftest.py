import pytest

from ssl_tf.networks import resnet
from tests.two_blocks import TWO_BLOCKS


@pytest.fixture(scope="module", autouse=True)
def few_blocks(request):
    """ResNet-18 has the blocks that a file asks for with `BLOCKS`, else two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet.DEPTHS, 18, getattr(request.module, "BLOCKS", TWO_BLOCKS))
        yield
