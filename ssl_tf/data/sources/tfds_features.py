"""Images, labels and boxes among the features of a TFDS data set, found by their types.

The path of a feature is (feature, None), or (feature, key) inside a sequence of dicts.
"""

from collections.abc import Callable, Iterator

import tensorflow as tf

from ssl_tf.data.annotation_marks import CROWD

# The same flag in TFDS's open_images_v4, where -1 is unknown.
_GROUP = "is_group_of"

FeaturePath = tuple[str, str | None]


def find_boxes(features) -> list[FeaturePath]:
    """The paths of the boxes of an image: first of its "objects", then of a "bbox", then by name.

    TFDS's own order may differ from start to start, see `choose`.
    """
    # Boxes in another order or in pixels are ignored.
    found = _in_sequences(features, is_relative_box)
    return sorted(
        found,
        key=lambda path: (
            path[0] != "objects",
            path[1] not in (None, "bbox"),
            path[0],
            path[1] or "",
        ),
    )


def is_relative_box(feature) -> bool:
    """Whether a feature is a box of ymin, xmin, ymax, xmax in fractions of the image's sides."""
    import tensorflow_datasets as tfds

    if not isinstance(feature, tfds.features.BBoxFeature):
        return False
    # None: the data set is older than the other formats.
    return feature.bbox_format is None or feature.bbox_format.name == "REL_YXYX"


def crowd_beside(features, boxes: FeaturePath | None) -> tuple[str, str] | None:
    """The path of the flags of crowds beside the boxes, if there are any."""
    if not boxes or boxes[1] is None:
        return None
    beside = features[boxes[0]].feature
    return next(((boxes[0], key) for key in (CROWD, _GROUP) if key in beside), None)


def find_labels(features) -> dict[str, FeaturePath]:
    """The paths of all labels, by FEATURE, or FEATURE/KEY inside of a sequence of dicts."""
    import tensorflow_datasets as tfds

    def is_label(feature) -> bool:
        return type(feature) is tfds.features.ClassLabel

    of_image = [(name, None) for name, feature in features.items() if is_label(feature)]
    paths = [*of_image, *_in_sequences(features, is_label)]
    return {f"{outer}/{inner}" if inner else outer: (outer, inner) for outer, inner in paths}


def usual_labels(
    features, labels: dict[str, FeaturePath], boxes: FeaturePath | None
) -> tuple[list[str], str]:
    """The labels to choose from, and how they are usually called.

    They are single labels of the image, else sequences of them, else those of its boxes.
    """
    import tensorflow_datasets as tfds

    whole = [name for name, (_, inner) in labels.items() if inner is None]
    of_image = [name for name in whole if type(features[name]) is tfds.features.ClassLabel]
    if of_image:
        return of_image, "label"
    if whole or boxes is None:
        return whole, "labels"
    of_boxes = [name for name, (outer, _) in labels.items() if outer == boxes[0]]
    return of_boxes, f"{boxes[0]}/label"


def choose(found: list[str], usual: str) -> tuple[str | None, str]:
    """The feature that is called as usual, else the first; and what that guesses, in words.

    The first by name: TFDS gives features in the order of a hash, on newer stacks in another order
    in each process.
    """
    if usual in found or len(found) < 2:
        return usual if usual in found else next(iter(found), None), ""
    found = sorted(found)
    return found[0], f"has the features {', '.join(found)}, and none is called {usual}"


def _in_sequences(features, is_wanted: Callable) -> Iterator[FeaturePath]:
    """Yields the path of each wanted feature inside a sequence.

    The path is (feature, None) for a sequence of wanted features, and (feature, key) for a sequence
    of dicts.
    """
    import tensorflow_datasets as tfds

    for name, feature in features.items():
        inner = getattr(feature, "feature", None)
        if isinstance(inner, tfds.features.FeaturesDict):
            yield from ((name, key) for key, part in inner.items() if is_wanted(part))
        elif is_wanted(inner):
            yield name, None


def feature_at(features: dict, path: FeaturePath) -> tf.Tensor:
    outer, inner = path
    return features[outer][inner] if inner else features[outer]
