"""Which images the settings of data name."""

import pytest

from ssl_tf.errors import SettingsError
from ssl_tf.settings import DataSettings


@pytest.mark.parametrize(
    "named, told",
    [
        ({}, "no images: give --dataset, --image_folder, --prepared or --tfrecord"),
        ({"dataset": "scenes", "image_folder": "x"}, "^--dataset and --image_folder: give one of"),
    ],
)
def test_exactly_one_source(named, told):
    with pytest.raises(SettingsError, match=told):
        DataSettings(**named)
