"""Views of TensorFlow's arithmetic against those that an earlier version made, stored here."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.settings import ViewSettings
from ssl_tf.views.recipe import Recipe

STORED = Path(__file__).with_name("stored_views.npz")
SIZE, SEEDS = 16, 4
RECIPES = {
    "ma_ssrl": {"recipe": "ma_ssrl"},
    "byol": {"recipe": "byol"},
    "simclr": {"recipe": "simclr"},
    # A run that is older than --image_library has this value.
    "moco": {"recipe": "moco", "image_library": "tensorflow"},
}


def views_of(name: str, source: np.ndarray) -> np.ndarray:
    """uint8 [SEEDS, 2, SIZE, SIZE, 3], in a data set as in training."""
    recipe = Recipe(ViewSettings(image_size=SIZE, **RECIPES[name]))
    data = tf.data.Dataset.range(SEEDS).map(
        lambda i: tf.stack(recipe(tf.constant(source), tf.stack([i, i + 5]))["views"])
    )
    return np.stack(list(data.as_numpy_iterator()))


@pytest.mark.parametrize("name", RECIPES)
def test_views_are_those_of_earlier_versions(name, images):
    made = views_of(name, images["large photograph"])
    stored = np.load(STORED)[name]
    # To the byte on the processor that stored them; others may round a sum of floats otherwise.
    difference = np.abs(made.astype(int) - stored)
    assert difference.max() <= 1 and np.mean(difference > 0) < 1e-3
