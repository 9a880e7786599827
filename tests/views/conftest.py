"""Images that every view test runs on, and the two ways an op is run."""

import numpy as np
import pytest
import tensorflow as tf


def _photograph(height: int, width: int, seed: int) -> np.ndarray:
    """Smooth light, stripes, a bright disc, a dark box and sensor noise; uint8 [H, W, 3]."""
    rng = np.random.default_rng([seed, height, width])
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    light = np.stack([40 + 170 * x, 200 - 120 * y, 60 + 90 * (x + y)], axis=-1)
    light += 25 * np.sin(40 * x + 15 * y)[..., None] * rng.uniform(0.3, 1.0, 3)
    light[(x - 0.6) ** 2 + (y - 0.3) ** 2 < 0.03] = (250, 245, 225)
    light[(abs(x - 0.2) < 0.1) & (abs(y - 0.5) < 0.15)] = (12, 20, 35)
    light += rng.normal(0, 6, light.shape)
    return np.clip(light, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def images() -> dict[str, np.ndarray]:
    """uint8 images by name: photographs, noise, and what breaks histograms and borders."""
    rng = np.random.default_rng(5)
    two_valued = np.where(rng.random((9, 14, 1)) < 0.3, 64, 191).repeat(3, axis=2)
    one_channel_flat = rng.integers(30, 60, (8, 8, 3))
    one_channel_flat[..., 1] = 77
    return {
        "photograph": _photograph(37, 53, 0),
        "large photograph": _photograph(64, 48, 1),
        "noise": rng.integers(0, 256, (32, 40, 3), np.uint8),
        "ramp": np.arange(768, dtype=np.int64).reshape(16, 16, 3).astype(np.uint8),
        "constant": np.full((10, 7, 3), (13, 128, 200), np.uint8),
        "two-valued": two_valued.astype(np.uint8),
        "one channel flat": one_channel_flat.astype(np.uint8),
        "row": _photograph(1, 61, 2),
        "column": _photograph(45, 1, 3),
        "two rows": _photograph(2, 9, 4),
        "two columns": _photograph(11, 2, 5),
        "black": np.zeros((6, 5, 3), np.uint8),
        "white": np.full((5, 6, 3), 255, np.uint8),
        "pixel": np.full((1, 1, 3), (3, 141, 59), np.uint8),
    }


@pytest.fixture(scope="session")
def run():
    """`run(op, cases)`: every case's result, equal eagerly and in `Dataset.map`.

    A case is (uint8 image, float32 arguments ...); inside the map height and width are unknown.
    """

    def run_both(op, cases: list[tuple]) -> list[np.ndarray]:
        arguments = [tf.TensorSpec(np.shape(argument), tf.float32) for argument in cases[0][1:]]
        signature = (tf.TensorSpec([None, None, 3], tf.uint8), *arguments)
        dataset = tf.data.Dataset.from_generator(lambda: iter(cases), output_signature=signature)
        mapped = dataset.map(op)
        assert mapped.element_spec == signature[0]
        results = list(mapped.as_numpy_iterator())
        assert len(results) == len(cases)
        for case, result in zip(cases, results):
            eager = op(*(tf.constant(argument) for argument in case))
            assert eager.dtype == tf.uint8 and eager.shape == case[0].shape
            np.testing.assert_array_equal(eager, result)
        return results

    return run_both
