import numpy as np

from ssl_tf.discovery.collection import image_troubles


def test_files_of_earlier_versions_know_one_reason_for_no_regions():
    old = {"readable": np.array([True, True, False]), "count": np.array([3, 0, 0])}
    assert image_troubles(old).tolist() == ["", "features without a peak", ""]
    new = {**old, "trouble": np.array(["", "a map of one cell", ""])}
    assert image_troubles(new).tolist() == ["", "a map of one cell", ""]
