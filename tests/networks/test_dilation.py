import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.networks.dilation import dilated
from ssl_tf.networks.resnet import build_resnet, stage_outputs


@pytest.mark.parametrize("depth, stem", [(18, "imagenet"), (50, "imagenet"), (18, "small")])
def test_the_finer_map_holds_every_cell_of_the_original(depth, stem):
    model = build_resnet(depth, 0.0625, stem, zero_init_last_gamma=False, seed=1)
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.5, 1, w.shape) * np.sign(w + 1e-9) for w in
                       model.get_weights()])  # fmt: skip
    images = tf.constant(random.standard_normal((1, 75, 64, 3)), tf.float32)
    stride = 8 if stem == "imagenet" else 2
    finer = dilated(model, stride)
    before = tf.keras.Model(model.input, stage_outputs(model))(images)
    after = tf.keras.Model(finer.input, stage_outputs(finer))(images)
    for name, lost in (("C2", 1), ("C3", 1), ("C4", 2), ("C5", 4)):
        kept = after[name][:, ::lost, ::lost]
        scale = np.abs(before[name]).max()
        np.testing.assert_allclose(kept / scale, before[name] / scale, atol=1e-5, err_msg=name)
    assert after["C5"].shape[1:3] == after["C3"].shape[1:3]
