"""The settings of the data: which images, and how they are read."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.settings.fields import setting, unless

GROUND_TRUTH = "ground_truth"
HOLDOUT_RULES = ("seeded", "spaced")

_OF_SCENES = ("scenes", "scene_size")
_FEATURES = ("image_feature", "label_feature")


@dataclasses.dataclass(frozen=True)
class ReadingSettings:
    """The settings for reading any data set."""

    data_dir: str = setting(
        "",
        "Directory of the TFDS data sets; empty: TFDS_DATA_DIR or its default.",
        affects_result=False,
        is_input=True,
    )
    shuffle_mib: int = setting(
        1024, "Memory for shuffling encoded examples, in MiB.", low=1, high=2**24
    )
    max_bad_images: int = setting(
        10,
        "Unreadable images to skip and report; one more ends the run.",
        low=0,
        affects_result=False,
    )


@dataclasses.dataclass(frozen=True)
class DataSettings(ReadingSettings):
    """The settings that name the images to learn from."""

    dataset: str = setting(
        "", "A prepared TFDS data set (`cifar10`), or `scenes`, the built-in one."
    )
    image_feature: str = setting(
        "", "Feature of the TFDS data set with its images; empty: image, or the only one."
    )
    label_feature: str = setting(
        "",
        "Feature of the TFDS data set with its labels, FEATURE/KEY inside of a sequence; empty: "
        "label, or the only one.",
    )
    split: str = setting("train", "Split to learn from; TFDS slices such as train[:90%] work.")
    image_folder: str = setting(
        "", "A folder of images: flat and unlabelled, or one folder a class.", is_place=True
    )
    orient: bool = setting(
        False, "Turn the images of a folder upright, as their EXIF orientation says."
    )
    prepared: str = setting("", "The output of `python -m ssl_tf.prepare`.", is_place=True)
    tfrecord: str = setting(
        "", "TFRecord files of tf.train.Example with image/encoded, as a glob.", is_place=True
    )
    first_label: int = setting(
        0, "Label of the first class in --tfrecord; 1 where labels count from 1.", low=0, high=1
    )
    num_images: int = setting(0, "Expected number of images; 0: any.", low=0, affects_result=False)
    num_classes: int = setting(
        0, "Expected number of classes; 0: any.", low=0, affects_result=False
    )
    scenes: int = setting(4000, "Number of built-in scenes to render.", low=1, high=1_000_000)
    scene_size: int = setting(48, "Side of a built-in scene, in pixels.", low=16, high=4096)
    scene_objects: str = setting(
        "", "A prepared TFDS data set whose images are pasted into the scenes; empty: shapes."
    )
    scene_ground: str = setting(
        "",
        "A prepared TFDS data set whose images, enlarged and softened, are the grounds of scenes "
        "with --scene_objects, to each scene its own; empty: textures.",
    )
    holdout: int = setting(
        0,
        "Images to hold out of training for the monitors, if there is no other split.",
        low=0,
    )
    holdout_rule: str = setting(
        HOLDOUT_RULES[0],
        "The image held out of each of N equal stretches of data: seeded, one drawn; spaced, the "
        "first, as in older versions. An existing run keeps its rule.",
        choices=HOLDOUT_RULES,
        affects_result=False,
        before="spaced",
    )
    proposals: str = setting(
        "",
        "A proposal store, for object crops; ground_truth: the boxes of the data set itself.",
        is_input=True,
    )
    unmatched_proposals: str = setting(
        "error",
        "Action for proposals of images that are not in the source; ignore: the store has more.",
        choices=("error", "ignore"),
        affects_result=False,
    )

    def __post_init__(self) -> None:
        if len(self.named) > 1:
            raise SettingsError(
                f"{' and '.join(self.named)}: give one of them; {self.named[0]}= takes back that "
                "of a flagfile"
            )
        if not self.named:
            raise SettingsError(
                "no images: give --dataset, --image_folder, --prepared or --tfrecord"
            )
        if self.scene_objects and self.dataset != "scenes":
            raise SettingsError(
                f"--scene_objects={self.scene_objects}: only scenes have objects; give "
                "--dataset=scenes"
            )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        of_tfds = self.dataset and (self.dataset != "scenes" or self.scene_objects)
        records = self.dataset not in ("", "scenes") or self.tfrecord or self.prepared
        source = " and ".join(self.named) or "no source"
        stored = self.proposals and self.proposals != GROUND_TRUTH
        return {
            **unless(self.has_splits, f"{source} has no splits", "split"),
            **unless(of_tfds, "no TFDS data set is read", "data_dir", *_FEATURES),
            **unless(records, "no record files are shuffled", "shuffle_mib"),
            **unless(self.tfrecord, "only labels of --tfrecord may count from 1", "first_label"),
            **unless(self.image_folder, "only --image_folder is turned upright", "orient"),
            **unless(self.dataset == "scenes", "only --dataset=scenes has scenes", *_OF_SCENES),
            **unless(
                self.scene_objects, "only scenes of --scene_objects have a ground", "scene_ground"
            ),
            **unless(stored, "no store is given with --proposals", "unmatched_proposals"),
        }

    @property
    def named(self) -> list[str]:
        """The flags that name images."""
        names = ("dataset", "image_folder", "prepared", "tfrecord")
        return [f"--{name}" for name in names if getattr(self, name)]

    @property
    def are_upright(self) -> bool:
        """Whether images are seen as EXIF says; those that were prepared are."""
        return self.orient or bool(self.prepared)

    @property
    def has_splits(self) -> bool:
        """Whether the images come in splits."""
        return bool(self.dataset or self.prepared)


def with_rule_of(recorded: DataSettings, data: DataSettings) -> DataSettings:
    """The data settings with the --holdout_rule that is recorded in an output directory.

    So what an older version began is resumed, or judged, on the images that it held out.

    Raises:
        SettingsError: the settings ask for the older rule, and the newer one is recorded.
    """
    if data.holdout_rule not in (HOLDOUT_RULES[0], recorded.holdout_rule):
        raise SettingsError(
            f"--holdout_rule={data.holdout_rule}: the directory was begun with "
            f"{recorded.holdout_rule}, and keeps it; remove the flag"
        )
    return dataclasses.replace(data, holdout_rule=recorded.holdout_rule)


@dataclasses.dataclass(frozen=True)
class OptionalDataSettings(DataSettings):
    """Data settings that may name no images."""

    def __post_init__(self) -> None:
        if self.named:
            super().__post_init__()
