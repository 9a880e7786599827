"""The marks of a box in annotations, such as OpenImages' IsGroupOf and COCO's iscrowd."""

# Key of a mark beside a box in TFDS: it is around several objects, as in COCO.
CROWD = "is_crowd"
# As the data sets have them, and as other programs write them again; -1: it is not known.
_SET, _UNSET = {"1", "1.0", "true"}, {"0", "0.0", "false", "-1", "-1.0", ""}


def is_set(text: str) -> bool:
    """Whether a mark holds of a box.

    Raises:
        ValueError: the text is none of its values; as the end of a sentence.
    """
    value = text.strip().lower()
    if value not in _SET | _UNSET:
        raise ValueError(f"is {text!r}; write 1 or 0")
    return value in _SET
