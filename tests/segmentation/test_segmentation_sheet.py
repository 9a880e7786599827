import numpy as np
from PIL import Image

from ssl_tf.segmentation.segmentation_sheet import draw_label_maps, label_colours


def test_the_colours_are_those_of_voc():
    colours = label_colours()
    # Background, aeroplane, bicycle, bird, tvmonitor and the border, as VOC's palette has them.
    known = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        2: (0, 128, 0),
        3: (128, 128, 0),
        20: (0, 64, 128),
        255: (224, 224, 192),
    }
    for label, colour in known.items():
        assert tuple(colours[label]) == colour
    assert len({tuple(colour) for colour in colours}) == 256


def test_a_row_shows_the_image_its_prediction_and_the_truth(tmp_path):
    image = np.full((160, 160, 3), 200, np.uint8)
    predicted, truth = np.zeros((160, 160), int), np.full((160, 160), 2)
    truth[:10] = 255
    made = draw_label_maps([(image, predicted, truth)], ("a", "b", "c"), tmp_path / "x.png")
    middle = made[8 + 80]
    assert [tuple(middle[8 + 168 * n + 80]) for n in range(3)] == [
        (200, 200, 200),
        (0, 0, 0),
        (0, 128, 0),
    ]
    assert tuple(made[10, 8 + 168 * 2 + 80]) == (224, 224, 192)
    with Image.open(tmp_path / "x.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), made)
