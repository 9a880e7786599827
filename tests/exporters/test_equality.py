import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.exporters.equality import compare, largest_difference
from ssl_tf.exporters.exported import Exported
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.networks.resnet import stage_outputs
from ssl_tf.settings import ModelSettings

MODEL = ModelSettings(depth=18, width=0.0625, stem="small")


@pytest.fixture(scope="module")
def exported():
    return Exported(build_encoder(MODEL, 0), MODEL, 32)


def other_library(exported, change=lambda outputs: outputs):
    """The encoder itself in the place of another library's, and the sides that it is run at."""
    encoder = exported.encoder
    model = tf.keras.Model(encoder.input, {**stage_outputs(encoder), "features": encoder.output})
    sides = []

    def run(images):
        sides.append(images.shape[1])
        return change({name: value.numpy() for name, value in model(images).items()})

    return run, sides


def test_equal_outputs_at_even_and_odd_sides_are_told(exported):
    run, sides = other_library(exported)
    difference = compare(exported, run, "a library")
    assert difference.share == 0 and difference.sides == (32, 41) and sides == [32, 41]
    assert str(difference) == (
        "features and maps at 32 and 41 pixels within 0 of the largest value"
    )


@pytest.mark.parametrize("output", ["C2", "C5", "features"])
def test_one_value_that_differs_ends_the_export(exported, output):
    def change(outputs):
        value = outputs[output]
        value.flat[7] += 2e-5 * np.abs(value).max()
        return outputs

    run, _ = other_library(exported, change)
    with pytest.raises(UserError, match=rf"{output} of a library differs .* by 2e-05"):
        compare(exported, run, "a library")
    others = tuple({"C2", "C5", "features"} - {output})
    assert compare(exported, run, "a library", others).share == 0


def test_numbers_that_are_not_finite_end_the_export(exported):
    run, _ = other_library(exported, lambda outputs: {**outputs, "C3": outputs["C3"] * np.nan})
    with pytest.raises(UserError, match="C3 of a library differs"):
        compare(exported, run, "a library")


@pytest.mark.parametrize("value, told", [(0, "are all 0"), (np.nan, "are not finite")])
def test_an_encoder_without_features_is_no_defect_of_the_export(value, told):
    with pytest.raises(UserError, match=f"{told}: the encoder has collapsed or diverged, .*--step"):
        largest_difference(np.ones(3), np.full(3, value))
    assert largest_difference(np.array([1.0, 4.0]), np.array([2.0, 4.0])) == 0.25
