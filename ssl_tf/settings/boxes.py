"""The settings of the commands for box files: OpenImages and proposals."""

import dataclasses
import re
import string

from ssl_tf.errors import SettingsError
from ssl_tf.settings.data import GROUND_TRUTH, DataSettings, OptionalDataSettings
from ssl_tf.settings.fields import never, setting, unless

_ID_FIELDS = ("id", "stem", "file_name")
# The format of a field: fill, side and a width of at most three digits.
_WIDTH = re.compile(r"(.?[<>^])?\d{0,3}")


@dataclasses.dataclass(frozen=True)
class OpenImagesSettings:
    """The settings of `python -m ssl_tf.openimages`."""

    boxes: str = setting("", "Box CSV of OpenImages, train.")
    images: str = setting(
        "", "Folder of the train images, ID.jpg; empty: only count, and list the images to get."
    )
    test_boxes: str = setting("", "Box CSV of validation or test; empty: no test split.")
    test_images: str = setting("", "Folder of their images.")
    ids: str = setting("", "List of train images (text, JSON, .npy) that replaces the filters.")
    test_ids: str = setting("", "List of test images; empty: all images of a kept class.")
    output: str = setting("", "Directory of prepared data sets; later given as --data_dir.")
    name: str = setting("ohms", "Name of the data set; later given as --dataset.")
    sources: tuple[str, ...] = setting((), "Values of the column Source to keep; empty: all.")
    drop_group_of: bool = setting(False, "Leave out boxes around groups.")
    drop_depiction: bool = setting(False, "Leave out boxes around depictions.")
    min_classes: int = setting(2, "Least number of distinct classes of an image.", low=1)
    min_images: int = setting(900, "Least number of images of a class, among those images.", low=1)
    min_classes_after: int = setting(
        1, "Least number of distinct classes of an image, without the rare classes.", low=1
    )
    to_fixed_point: bool = setting(False, "Repeat the last two filters until nothing changes.")
    max_images: int = setting(0, "Number of the remaining train images to draw; 0: all.", low=0)
    random_control: bool = setting(
        False, "Also write a split `random`: as many train images, drawn from all with boxes."
    )
    max_missing: float = setting(
        0.02, "Largest share of the images of a split whose file may be missing.", low=0, high=1
    )
    seed: int = setting(0, "Seed of the random draws.", low=0, high=2**31 - 1)

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        filters = ("min_classes", "min_images", "min_classes_after", "to_fixed_point")
        drawn = self.max_images or self.random_control
        return {
            **unless(not self.ids, "--ids replaces the filters", *filters),
            **unless(self.images, "no images are read without --images", "max_missing"),
            **unless(drawn, "nothing is drawn without --max_images or --random_control", "seed"),
        }

    def __post_init__(self) -> None:
        if not self.boxes:
            raise SettingsError("--boxes: give the box CSV of the train images")
        if not self.output:
            raise SettingsError("--output: give the directory where prepared data sets lie")
        if not self.name.isidentifier():
            raise SettingsError(f"--name={self.name}: letters, digits and _, such as ohms")
        if bool(self.images and self.test_boxes) != bool(self.test_images):
            raise SettingsError(
                "--test_images: give it with --images and --test_boxes, and only with them"
            )
        if self.test_ids and not self.test_boxes:
            raise SettingsError(f"--test_ids={self.test_ids}: give --test_boxes too")


@dataclasses.dataclass(frozen=True)
class ImportProposalsSettings:
    """The settings of `python -m ssl_tf.proposals import`."""

    input: str = setting(
        "", "File of boxes: .json (also COCO-style), .csv (also that of OpenImages) or .npy."
    )
    output: str = setting("", "Directory of the new store.")
    id_template: str = setting(
        "",
        "Template of the ids in the images' source, such as {id}.jpg: {id}, {stem}, {file_name}.",
    )
    max_boxes: int = setting(
        10,
        "Boxes to keep of an image, those of the best scores, else the first of the file.",
        low=1,
    )
    bad_boxes: str = setting(
        "error",
        "Action for boxes outside of the image, without area, with swapped corners or no number.",
        choices=("error", "drop"),
    )
    image_folder: str = setting("", "Folder of the images, for boxes in pixels (.npy of COCO).")

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        numpy = self.input.lower().endswith(".npy")
        return unless(numpy, "only .npy files need the sizes of the images", "image_folder")

    def __post_init__(self) -> None:
        for name in ("input", "output"):
            if not getattr(self, name):
                raise SettingsError(f"--{name}: give the file of boxes and the store to make")
        check_id_template(self.id_template)


@dataclasses.dataclass(frozen=True)
class ShuffleSettings:
    """The settings of `python -m ssl_tf.proposals shuffle`."""

    data: DataSettings
    output: str = setting("", "Directory of the new store.")
    seed: int = setting(0, "Seed of the draw.", low=0, high=2**31 - 1)

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        return never("the boxes of all images are shuffled", "holdout")

    def __post_init__(self) -> None:
        if not self.output:
            raise SettingsError("--output: give the directory of the new store")
        if not self.data.proposals:
            raise SettingsError(
                f"--proposals: give the boxes to shuffle, a store or {GROUND_TRUTH}"
            )


def check_id_template(template: str) -> None:
    """Refuses a template of ids that cannot be filled, or that makes ids of any length.

    Raises:
        SettingsError: it has other fields than {id}, {stem} and {file_name}, or a format that is
            more than a width, such as {id:0>12}.
    """
    try:
        fields = [part[1:] for part in string.Formatter().parse(template) if part[1] is not None]
    except ValueError:
        fields = [("", "", None)]
    for name, spec, conversion in fields:
        if name not in _ID_FIELDS or conversion or not _WIDTH.fullmatch(spec):
            raise SettingsError(
                f"--id_template={template}: give text with {{id}}, {{stem}} or {{file_name}}, at "
                "most with a width, such as {id:0>12}"
            )


@dataclasses.dataclass(frozen=True)
class StoreSettings:
    """The settings of `python -m ssl_tf.proposals verify`."""

    data: OptionalDataSettings

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        reason = "the ids of all images are compared"
        return never(reason, "num_images", "num_classes", "holdout")

    def __post_init__(self) -> None:
        if not self.data.proposals or self.data.proposals == GROUND_TRUTH:
            raise SettingsError("--proposals: give the directory of the store")


@dataclasses.dataclass(frozen=True)
class InspectSettings(StoreSettings):
    """The settings of `python -m ssl_tf.proposals inspect`."""

    records: int = setting(5, "Number of images to print.", low=0)

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        reason = "the store alone is read; verify compares it with images"
        names = ("dataset", "image_folder", "prepared", "tfrecord", "max_bad_images")
        return {**super().unused, **never(reason, *names, "unmatched_proposals")}
