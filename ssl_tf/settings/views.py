"""How views are cut and changed."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.settings.fields import setting, unless
from ssl_tf.settings.recipes import LIBRARIES, RECIPES, STRATEGIES, RecipeDefaults

CROPS = ("uniform", "inception", "byol", "random_resized", "full")


REGIONS = ("scene_scene", "object_object", "object_dilated")


@dataclasses.dataclass(frozen=True)
class ViewSettings:
    """The views of an image: how they are cut, and what happens to their pixels."""

    recipe: str = setting("ma_ssrl", "Crop and strategies of the views.", choices=tuple(RECIPES))
    image_library: str = setting(
        "",
        "Whose resizing and colour jitter: tensorflow's, as in BYOL and SimCLR; pillow's, as in "
        "codes on torchvision; empty: the recipe's own, and an existing run keeps its own.",
        choices=("", *LIBRARIES),
        before="tensorflow",
    )
    image_size: int = setting(224, "Side of a view, in pixels.", low=8, high=4096)
    small_views: int = setting(
        0,
        "Small views an image beside the others (multi-crop of SwAV and DINO), crops of a law with "
        "an area, under the others' strategies in turn.",
        low=0,
        high=64,
    )
    small_image_size: int = setting(96, "Side of a small view, in pixels.", low=8, high=4096)
    small_area: tuple[float, ...] = setting(
        (0.05, 0.14), "Small views: smallest and largest area of a crop.", above=0, high=1
    )
    crop: str = setting(
        "",
        "Crop law inside the region; empty: the recipe's own, random_resized inside objects.",
        choices=("", *CROPS),
    )
    crops: str = setting(
        "scene_scene",
        "Regions that the views are cropped in, in turn: the image, an object, the object dilated.",
        choices=REGIONS,
    )
    dilation: float = setting(
        0.1, "How much a dilated box is longer, as a fraction of the image.", low=0, high=1
    )
    min_crop: int = setting(
        0,
        "Smallest side of an object's region in source pixels; 0: that of a view, at most half of "
        "the image's.",
        low=0,
        high=2**16,
    )
    smallest_area: float = setting(
        0.0,
        "Random resized crop inside objects: smallest area as a fraction of the box; 0: 0.2 / the "
        "mean area of the boxes.",
        low=0,
        high=1,
    )
    crop_ratio: tuple[float, ...] = setting(
        (0.5, 1.0), "Uniform crop: smallest and largest ratio of the sides.", above=0, high=1
    )
    crop_area: tuple[float, ...] = setting(
        (),
        "Inception, BYOL and random resized crop: smallest and largest area, of an object's box "
        "where that is cropped in, but random resized has --smallest_area there; empty: the "
        "recipe's own, else 0.08,1, random resized 0.2,1.",
        above=0,
        high=1,
    )
    flip: float = setting(0.5, "Probability of a horizontal flip.", low=0, high=1)
    view_strategies: tuple[str, ...] = setting(
        (), "One strategy a view; empty: the recipe's own two.", choices=tuple(STRATEGIES)
    )
    distinct_crops: int = setting(
        0,
        "Crops an image: view v uses crop v mod this; 0: the recipe's own number (2 of "
        "ma_ssrl_authors), else every view its own.",
        low=0,
    )
    compared_pairs: str = setting("all", "Pairs of views compared: all, or a list such as 0:1,2:3.")
    policy_set: str = setting(
        "imagenet",
        "Data on which the AutoAugment and Fast AutoAugment lists were searched.",
        choices=("imagenet", "cifar10", "svhn"),
    )
    randaugment_ops: int = setting(2, "RandAugment N, operations a view.", low=1, high=3)
    randaugment_magnitude: float = setting(
        9.0, "RandAugment M, on the level scale.", low=0, high=30
    )
    level_scale: int = setting(
        10, "Level at which an operation is at full range.", choices=(10, 30)
    )
    posterize_solarize: str = setting(
        "tf",
        "Meaning of their levels: tf, weaker with the level; pil, stronger.",
        choices=("tf", "pil"),
    )
    jitter_strength: float = setting(
        1.0, "SimCLR's colour strength s; at 2.5 it reaches every hue.", low=0, high=2.5
    )
    blur: bool = setting(
        True, "Blur in the colour chains; published recipes for images of 32 pixels have none."
    )
    augment_on: str = setting(
        "host",
        "Where views are made of the decoded images: host, in the input pipeline; device, in the "
        "training step, where now and then a pixel is one level apart.",
        choices=("host", "device"),
    )
    canvas: int = setting(
        0,
        "--augment_on=device: longest side of an image in pixels, longer ones are made smaller; 0: "
        "as long as the images are where that is known, else 512, or a view where that is longer.",
        low=0,
        high=4096,
    )
    resident: str = setting(
        "auto",
        "--augment_on=device: whether all images stay in the memory of the device; auto: where "
        "they take at most a quarter of it.",
        choices=("auto", "on", "off"),
        affects_result=False,
    )

    def __post_init__(self) -> None:
        for name in ("crop_ratio", "crop_area", "small_area"):
            pair = getattr(self, name)
            if name == "crop_area" and not pair:
                continue
            if len(pair) != 2 or pair[0] > pair[1]:
                raise SettingsError(f"--{name}={pair}: give two numbers, the smaller one first")
        if self.distinct_crops > len(self.strategies):
            raise SettingsError(
                f"--distinct_crops={self.distinct_crops}: more crops than the "
                f"{len(self.strategies)} views"
            )
        if self.crops == "object_dilated" and self.distinct_crops % 2:
            raise SettingsError(
                f"--distinct_crops={self.distinct_crops}: --crops=object_dilated takes crops in "
                "pairs, give an even number"
            )
        if 0 < self.canvas < self.image_size:
            raise SettingsError(
                f"--canvas={self.canvas}: smaller than a view, --image_size={self.image_size}; "
                "give more, or 0"
            )
        if self.small_views:
            self._check_small_views()
        _ = self.pairs  # a list that does not parse must fail here, not at the first step

    @property
    def strategies(self) -> tuple[str, ...]:
        """One strategy a view of --image_size, the recipe's own where the flag is empty."""
        return self.view_strategies or self._defaults.strategies

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`.

        --policy_set is none of them: it says which data set the images are of.
        """
        policies = {policy for name in self.strategies for policy in STRATEGIES[name]}
        chains = {name for name in self.strategies if not STRATEGIES[name] and name != "plain"}
        law = f"the {self.crop_law} crop does not read it"
        has_area = self.crop_law in ("inception", "byol", "random_resized")
        has_smallest_area = self.object_crops and self.crop_law == "random_resized"
        scenes = f"--crops={self.crops} does not read it"
        strategies = f"none of the strategies {', '.join(self.strategies)} reads it"
        return {
            **unless(
                self.small_views, "there are no --small_views", "small_image_size", "small_area"
            ),
            **unless(self.crop_law == "uniform", law, "crop_ratio"),
            **unless(has_area, law, "crop_area"),
            **unless(self.crops == "object_dilated", scenes, "dilation"),
            **unless(self.object_crops, scenes, "min_crop"),
            **unless(has_smallest_area, scenes if not self.object_crops else law, "smallest_area"),
            **unless(
                policies & {"randaugment", "randaugment_torchvision"},
                strategies,
                "randaugment_ops",
                "randaugment_magnitude",
            ),
            **unless("randaugment" in policies, strategies, "level_scale"),
            **unless(policies & {"autoaugment", "randaugment"}, strategies, "posterize_solarize"),
            **unless("simclr" in chains, strategies, "jitter_strength"),
            **unless(chains, strategies, "blur"),
            **unless(
                self.augment_on == "device",
                "--augment_on=host makes the views",
                "canvas",
                "resident",
            ),
        }

    def _check_small_views(self) -> None:
        # The operation behind `inception` never goes below a tenth of the image.
        if self.crop_law not in ("byol", "random_resized"):
            raise SettingsError(
                f"--small_views={self.small_views}: the {self.crop_law} crop has no --small_area; "
                "give --crop=random_resized or --crop=byol"
            )
        if self.object_crops:
            raise SettingsError(
                f"--small_views={self.small_views}: are cropped in the scene; give "
                "--crops=scene_scene, or --small_views=0"
            )
        if self.small_image_size > self.image_size:
            raise SettingsError(
                f"--small_image_size={self.small_image_size}: more than --image_size="
                f"{self.image_size}; lower it"
            )

    @property
    def small_strategies(self) -> tuple[str, ...]:
        """One strategy a small view, those of the other views in turn."""
        return tuple(self.strategies[v % len(self.strategies)] for v in range(self.small_views))

    @property
    def crop_of_views(self) -> tuple[int, ...]:
        """The crop of each view of --image_size, numbered from 0."""
        views = len(self.strategies)
        own = 0 if self.view_strategies else self.recipe_crops
        crops = self.distinct_crops or own or views
        return tuple(view % crops for view in range(views))

    @property
    def recipe_crops(self) -> int:
        """Crops an image of the recipe's own views; 0: a crop for each."""
        return self._defaults.distinct_crops

    @property
    def loses_shared_crops(self) -> bool:
        """Whether views are given in place of those that share crops, and not their crops."""
        return bool(self.view_strategies and self.recipe_crops and not self.distinct_crops)

    @property
    def library(self) -> str:
        """Whose arithmetic resizing and colour chains follow, one of `recipes.LIBRARIES`."""
        return self.image_library or self._defaults.library

    @property
    def interpolation(self) -> str:
        """The interpolation of resizing: the recipe's, else that of the crop law's first code."""
        by_law = "bicubic" if self.crop_law in ("inception", "byol") else "bilinear"
        return self._defaults.interpolation or by_law

    @property
    def crop_law(self) -> str:
        if self.crop:
            return self.crop
        return "random_resized" if self.object_crops else self._defaults.crop

    @property
    def area(self) -> tuple[float, float]:
        """Smallest and largest area of a crop in a scene."""
        own = self._defaults.area if self.crop_law == self._defaults.crop else ()
        by_law = (0.2, 1.0) if self.crop_law == "random_resized" else (0.08, 1.0)
        return self.crop_area or own or by_law

    @property
    def _defaults(self) -> RecipeDefaults:
        return RECIPES[self.recipe]

    @property
    def object_crops(self) -> bool:
        return self.crops != "scene_scene"

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Unordered pairs of view indices whose loss is taken, in both directions each.

        Of views of --image_size.
        """
        views = len(self.strategies)
        if self.compared_pairs == "all":
            return tuple((a, b) for a in range(views) for b in range(a + 1, views))
        try:
            pairs = [tuple(int(v) for v in p.split(":")) for p in self.compared_pairs.split(",")]
        except ValueError:
            pairs = [()]
        for pair in pairs:
            if len(pair) != 2 or pair[0] == pair[1] or not all(0 <= v < views for v in pair):
                raise SettingsError(
                    f"--compared_pairs={self.compared_pairs}: expected `all` or pairs of two "
                    f"different views 0 to {views - 1}, such as 0:1"
                )
        return tuple(pairs)


def with_library_of(recorded: ViewSettings, views: ViewSettings) -> ViewSettings:
    """The view settings with --image_library as it is given, else as `recorded` has it.

    So a run that is older than the flag goes on with TensorFlow's arithmetic, and a new one records
    what its recipe chose.
    """
    library = views.image_library or recorded.library
    return dataclasses.replace(views, image_library=library)
