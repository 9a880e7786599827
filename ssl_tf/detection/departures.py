"""Where a detector here departs from Detectron2, with which the published figures were made."""

from ssl_tf.detection.coco_figures import COUNTED

_CANVAS = (
    "images are fitted on a square canvas and scaled by a random factor; Detectron2 scales the "
    "shorter side to one of several lengths"
)
_OF_DETECTOR = {
    "faster_rcnn": (
        "RoIAlign takes one sample a cell, and the coarsest level of the pyramid is a convolution; "
        "Detectron2 takes more samples, and pools"
    ),
    "retinanet": (
        "losses are divided by the positives of the batch, and that of the boxes is L1; Detectron2 "
        "divides by a moving average of their number, and takes a smooth L1 with beta 0.1"
    ),
}
_NORMALIZED = {
    "faster_rcnn": "the proposals, the dense layers of the box head and the mask head have batch "
    "normalization too",
    "retinanet": "the towers for classes and boxes have batch normalization too",
}
_PRECISE = "and its moving statistics stand for Detectron2's PRECISE_BN"
_FPN_VOC = (
    "a feature pyramid (FPN) in place of the C4 head of the papers' VOC rows: for those export the "
    "encoder with --format=detectron2 and train there"
)


def departures(detector: str, batch_norm: str, *, is_voc: bool, max_detections: int) -> list[str]:
    """The departures, a sentence each.

    Args:
        detector: faster_rcnn, with or without masks, or retinanet.
        batch_norm: of the training.
        is_voc: the images are VOC's.
        max_detections: objects to find in an image.
    """
    told = [_CANVAS, _OF_DETECTOR[detector]]
    if batch_norm != "frozen":
        told.append(f"{_NORMALIZED[detector]}, {_PRECISE}")
    if is_voc:
        told.append(_FPN_VOC)
    if max_detections > COUNTED:
        told.append(
            f"--max_detections={max_detections}: published figures find {COUNTED} objects of an "
            f"image; pycocotools counts the {COUNTED} best of each class, so more may raise AP"
        )
    return told
