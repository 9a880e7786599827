"""The settings of images with objects or label maps, for detection and segmentation."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.settings.data import HOLDOUT_RULES, ReadingSettings
from ssl_tf.settings.fields import never, setting, unless
from ssl_tf.settings.label_share import ShareSettings

_OF_SCENES = ("scenes", "scene_size", "scene_objects", "one_class")


@dataclasses.dataclass(frozen=True)
class AnnotationSettings(ReadingSettings):
    """The images to learn from and to report on, with their annotations."""

    share: ShareSettings = dataclasses.field(default_factory=ShareSettings)
    dataset: str = setting(
        "",
        "A data set that TFDS has prepared, `voc/2007` or `scene_parse150`; or `scenes`, the "
        "built-in one.",
    )
    split: str = setting("train", "Split of --dataset to learn from; slices of TFDS work.")
    test_split: str = setting(
        "", "Split of --dataset to report on; empty: test, of voc/2012 validation."
    )
    image_folder: str = setting(
        "", "Folder of the images of --coco_json or --label_maps.", is_place=True
    )
    test_image_folder: str = setting(
        "",
        "Folder of the images to report on; empty: --image_folder, with --coco_json.",
        is_place=True,
    )
    coco_json: str = setting(
        "", "Objects of --image_folder, a json in COCO's format.", is_place=True
    )
    test_coco_json: str = setting("", "Such a json of the images to report on.", is_place=True)
    label_maps: str = setting(
        "",
        "Folder with a PNG for each image of --image_folder, whose pixels are labels.",
        is_place=True,
    )
    test_label_maps: str = setting("", "Such a folder for --test_image_folder.", is_place=True)
    reduce_zero_label: bool = setting(
        False, "Label 0 of --label_maps is ignored, and classes count from label 1, as in ADE20K."
    )
    label_names: str = setting(
        "", "Text file with the names of the classes of label maps, a line.", is_place=True
    )
    num_classes: int = setting(
        0,
        "Classes of --label_maps; 0: by --label_names, or else by the largest label.",
        low=0,
        high=254,
    )
    voc_dir: tuple[str, ...] = setting(
        (),
        "Directories in VOC's format, such as VOCdevkit/VOC2007,VOCdevkit/VOC2012.",
        is_place=True,
    )
    voc_list: tuple[str, ...] = setting(
        ("trainval",), "List of ImageSets to learn from, for all directories or one for each."
    )
    test_voc_dir: tuple[str, ...] = setting(
        (), "Directories of the images to report on; empty: the first of --voc_dir.", is_place=True
    )
    test_voc_list: tuple[str, ...] = setting(("test",), "List of ImageSets to report on.")
    scenes: int = setting(4000, "Number of built-in scenes to render.", low=1, high=1_000_000)
    scene_size: int = setting(48, "Side of a built-in scene, in pixels.", low=16, high=4096)
    scene_objects: str = setting(
        "", "A prepared TFDS data set whose images are pasted into the scenes; empty: shapes."
    )
    one_class: bool = setting(
        False, "All objects of scenes are of one class, so that their places alone are judged."
    )
    holdout: int = setting(
        0, "Training images held out to report on, where there are no others.", low=0
    )
    keep_empty: bool = setting(False, "Learn from images without an object, too.")

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        source = " and ".join(self.named)
        of_scenes = self.dataset == "scenes"
        of_tfds = (self.dataset and not of_scenes) or self.scene_objects
        files = self.coco_json or self.label_maps
        of_maps = self.label_maps or self.voc_dir or self.dataset.startswith("scene_parse150")
        held_out = f"--holdout={self.holdout} gives the images to report on"
        return {
            **unless(self.dataset, f"{source} has no splits", "split", "test_split"),
            **unless(of_tfds, "no TFDS data set is read", "data_dir"),
            **never("no record files are shuffled", "shuffle_mib"),
            **unless(files, f"{source} has images of its own", "image_folder", "test_image_folder"),
            **unless(self.coco_json, "there is no --coco_json", "test_coco_json"),
            **unless(
                self.label_maps,
                "there is no --label_maps",
                "test_label_maps",
                "reduce_zero_label",
                "num_classes",
            ),
            **unless(of_maps, f"{source} has names of its own", "label_names"),
            **unless(
                self.voc_dir, "there is no --voc_dir", "voc_list", "test_voc_dir", "test_voc_list"
            ),
            **unless(of_scenes, "only --dataset=scenes has scenes", *_OF_SCENES),
            **unless(
                not self.holdout,
                held_out,
                "test_split",
                "test_image_folder",
                "test_coco_json",
                "test_label_maps",
                "test_voc_dir",
                "test_voc_list",
            ),
        }

    @property
    def named(self) -> list[str]:
        """The flags that name annotated images."""
        names = ("dataset", "coco_json", "label_maps", "voc_dir")
        return [f"--{name}" for name in names if getattr(self, name)]

    @property
    def holdout_rule(self) -> str:
        """The rule of --holdout, as in `DataSettings`."""
        return HOLDOUT_RULES[0]

    def __post_init__(self) -> None:
        if len(self.named) > 1:
            raise SettingsError(f"{' and '.join(self.named)}: give one of them")
        if not self.named:
            raise SettingsError(
                "no annotated images: give --dataset, --coco_json, --label_maps or --voc_dir"
            )
        if (self.coco_json or self.label_maps) and not self.image_folder:
            raise SettingsError(f"{self.named[0]}: give --image_folder, the folder of its images")
        for name in ("coco_json", "label_maps"):
            if getattr(self, name) and not (self.holdout or getattr(self, f"test_{name}")):
                raise SettingsError(
                    f"no images to report on: give --test_{name} with --test_image_folder, or "
                    "--holdout=N"
                )
        if self.test_label_maps and not self.test_image_folder:
            raise SettingsError("--test_label_maps: give --test_image_folder, its images")
