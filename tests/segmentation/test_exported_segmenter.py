"""A segmenter is exported as it was measured."""

import json

import numpy as np
import tensorflow as tf

from ssl_tf.segmentation.exported_segmenter import export_segmenter
from tests.segmentation.small_segmentation import batch, random_start, task


def test_scales_and_mirror_images_of_the_test_are_exported(tmp_path):
    flags = "--head=fcn", "--test_scales=0.5", "--test_flip"
    model = task(*flags).build(random_start().build(False), False)
    for variable in model.head.trainable_variables:  # from near 0, so that scores differ
        if "kernel" in variable.name:
            variable.assign(10 * variable)
    export_segmenter(model, ("a", "b"), (None, "x", 7), tmp_path / "saved", "a test")
    images = batch(1)["image"]
    loaded = tf.saved_model.load(str(tmp_path / "saved")).signatures
    found = loaded["images"](images=images)
    plain, half, mirrored = (
        model.probabilities(tf.constant(images[:, :, ::step]), (scale,)).numpy()[:, :, ::step]
        for scale, step in ((1.0, 1), (0.5, 1), (0.5, -1))
    )
    np.testing.assert_allclose(found["scores"], (half + mirrored) / 2, atol=1e-5)
    assert np.abs(found["scores"] - plain).max() > 0.01
    # What the mIoU is counted of.
    np.testing.assert_array_equal(found["label_map"], model.labels(tf.constant(images)))
    facts = json.loads((tmp_path / "saved" / "segmenter.json").read_text())
    assert facts["category_ids"] == [None, "x", 7]
    assert facts["test_scales"] == [0.5] and facts["test_flip"] is True
    assert "which EXIF does not turn" in facts["signatures"]["encoded"]
