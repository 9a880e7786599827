"""A report tells where its own detector departs from Detectron2, and how to install the extra."""

from pathlib import Path

from ssl_tf.detection.departures import departures
from ssl_tf.detection.model_garden import INSTALL


def told(detector, batch_norm="synchronized", is_voc=False, max_detections=100):
    return departures(detector, batch_norm, is_voc=is_voc, max_detections=max_detections)


def test_each_detector_has_its_own():
    faster, retina = told("faster_rcnn"), told("retinanet")
    assert len(faster) == len(retina) == 3
    assert "RoIAlign" in faster[1] and "box head" in faster[2]
    assert "moving average" in retina[1] and "towers" in retina[2]
    assert not any("RoIAlign" in line or "proposals" in line for line in retina)
    # Frozen layers are those of the encoder alone.
    assert told("retinanet", "frozen") == retina[:2]
    assert len(told("faster_rcnn", is_voc=True, max_detections=300)) == 5


def test_the_way_to_install_is_that_of_the_documentation():
    docs = Path(__file__).parents[2] / "docs" / "downstream.md"
    assert INSTALL in docs.read_text()
