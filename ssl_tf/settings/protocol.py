"""The protocol of an evaluation: the flags by which its figures are comparable with others."""

from typing import Any

from ssl_tf.settings.fields import result_flags, unused

# Which encoder is judged.
_ENCODER = {
    "init_encoder", "init_convention", "init_mean", "init_std", "checkpoint", "step", "supervised",
    "random_baseline", "depth", "width", "stem", "stride_in_1x1",
}  # fmt: skip
# Where things lie.
_PATHS = {
    "output", "image_folder", "prepared", "tfrecord", "labels_from", "coco_json", "label_maps",
    "label_names", "voc_dir",
}  # fmt: skip
# Reports name the images that they are on.
_TEST_IMAGES = {
    "test_split", "test_image_folder", "test_tfrecord", "test_coco_json", "test_label_maps",
    "test_voc_dir", "test_voc_list",
}  # fmt: skip
# Draws of which one is as good as another.
_SEEDS = {"seed", "label_seed", "shuffle_mib"}
# What the data must have, or the command ends.
_CHECKS = {"num_images", "num_classes"}

# Flags on which a result depends and that are of no protocol.
LEFT_OUT = frozenset(_ENCODER | _PATHS | _TEST_IMAGES | _SEEDS | _CHECKS)


def protocol(settings: Any) -> dict[str, str]:
    """The flags by which figures are comparable: name -> value as text.

    They are those on which a result depends, without paths, seeds, the encoder, the names of the
    test images, and what nothing reads beside the others.
    """
    ignored = LEFT_OUT | unused(settings).keys()
    return {name: text for name, text in result_flags(settings).items() if name not in ignored}
