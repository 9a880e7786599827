"""Where a detector here departs from Detectron2, with which the published figures were made."""

from ssl_tf.detection.coco_figures import COUNTED

_ALWAYS = (
    "images are fitted on a square canvas and scaled by a random factor; Detectron2 scales the "
    "shorter side to one of several lengths",
    "RoIAlign takes one sample a cell, and the coarsest level of the pyramid is a convolution; "
    "Detectron2 takes more samples, and pools",
)
_NORMALIZED = (
    "the dense layers of the box head and the proposals have batch normalization too, and its "
    "moving statistics stand for Detectron2's PRECISE_BN"
)
_FPN_VOC = (
    "a feature pyramid (FPN) in place of the C4 head of the papers' VOC rows: for those export the "
    "encoder with --format=detectron2 and train there"
)


def departures(batch_norm: str, *, is_voc: bool, max_detections: int) -> list[str]:
    """The departures, a sentence each.

    Args:
        batch_norm: of the training.
        is_voc: the images are VOC's.
        max_detections: objects to find in an image.
    """
    told = list(_ALWAYS)
    if batch_norm != "frozen":
        told.append(_NORMALIZED)
    if is_voc:
        told.append(_FPN_VOC)
    if max_detections > COUNTED:
        told.append(
            f"COCO's figures count the {COUNTED} best objects of an image, as pycocotools does, of "
            f"the {max_detections} of --max_detections"
        )
    return told
