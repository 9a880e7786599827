"""Where a detector here departs from Detectron2, with which the published figures were made."""

from ssl_tf.settings import DetectSettings

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


def remarks(settings: DetectSettings) -> list[str]:
    """The departures, a sentence each."""
    told = list(_ALWAYS)
    if settings.training.batch_norm != "frozen":
        told.append(_NORMALIZED)
    if settings.is_voc:
        told.append(_FPN_VOC)
    return told
