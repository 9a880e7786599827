"""Settings of object discovery."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.settings.data import DataSettings
from ssl_tf.settings.fields import never, setting, unless
from ssl_tf.settings.initialization import InitEncoderSettings, one_encoder
from ssl_tf.settings.sharding import ShardingSettings

KERAS_ENCODERS = ("vgg16", "vgg19", "resnet50")
DISCOVERERS = ("lod", "ncut", "lost", "contrast")
CELL_NORMS = ("none", "centre", "whiten")
RANKERS = ("lod", "q", "pagerank", "degree")


@dataclasses.dataclass(frozen=True)
class FeatureSettings:
    """The encoder, its feature maps and its descriptors."""

    init: InitEncoderSettings = dataclasses.field(default_factory=InitEncoderSettings)
    encoder: str = setting(
        "",
        "A run directory, a SavedModel, or vgg16, vgg19 or resnet50 of Keras with "
        "--encoder_weights.",
        is_input=True,
    )
    encoder_weights: str = setting(
        "", "Keras weights file (.h5, .keras) of vgg16, vgg19 or resnet50.", is_input=True
    )
    step: int = setting(0, "Step of the run's checkpoint; 0: the newest.", low=0, high=10**9)
    layers: tuple[str, ...] = setting(
        (),
        "Layers of the maps, the one for the descriptors last; C2 to C5 name a ResNet's stages, "
        "dense_keys what DenseCL compares. Empty: C3,C4 of a ResNet, relu4_3,relu5_3 of a VGG. "
        "--discoverer=ncut and lost join them on the finest grid.",
    )
    output_stride: int = setting(
        0,
        "Largest stride of the maps of a run's encoder, in pixels: strides beyond become "
        "dilations, with the same weights; 0: as trained.",
        choices=(0, 1, 2, 4, 8, 16, 32),
    )
    scales: tuple[float, ...] = setting(
        (1.0,),
        "Sizes of the image, as shares of that of the first pass, whose maps are averaged.",
        low=0.1,
        high=8,
    )
    flip_maps: bool = setting(False, "Average the maps with those of the mirrored image.")
    long_side: int = setting(
        0, "Longer side of the encoder's input images, in pixels; 0: as they are.", low=0, high=8192
    )
    square_side: int = setting(
        224,
        "Side to which images are squashed for the descriptor that finds neighbours.",
        low=8,
        high=8192,
    )
    feature_batch: int = setting(
        16, "Batch size of the encoder, in images of one size.", low=1, high=2**16
    )
    descriptor_projection: int = setting(
        0,
        "Channels to which descriptors are projected at random; 0: all there are.",
        low=0,
        high=2**16,
    )
    descriptor_norm: str = setting(
        "max01",
        "Region descriptors: over the image's largest value (published), or centred on the "
        "collection's mean and of unit length.",
        choices=("max01", "center_l2"),
    )


@dataclasses.dataclass(frozen=True)
class RegionSettings:
    """Region proposals from feature maps; the defaults are LOD's for VGG16."""

    peaks: int = setting(20, "Peaks of a feature map.", low=1, high=10**4)
    peak_threshold: float = setting(
        0.3, "Smallest saliency of a peak, as a share of the map's largest.", low=0, high=1
    )
    peak_window: int = setting(
        3,
        "Side of the window that a peak keeps for itself; an even one is as the next odd one.",
        low=1,
        high=10**4,
    )
    peak_margin: str = setting(
        "cell",
        "No peak there: one cell at the border, or a fifteenth of the sides.",
        choices=("cell", "wide"),
    )
    local_neighbours: int = setting(
        7, "Neighbours a peak is compared by: 7 as published, by a slip, or all 8.", low=7, high=8
    )
    mask_threshold: float = setting(0.5, "A box's cells: above this times mean saliency.", low=0)
    local_threshold: float = setting(1.0, "And above this times mean similarity.", low=0)
    root_threshold: float = setting(1.0, "Similarity a component reaches somewhere.", low=0)
    levels: int = setting(50, "Nested level sets of a peak.", low=1)
    level_floor: str = setting(
        "components",
        "Smallest level: as many cells as strong components (published) or as strong pixels.",
        choices=("components", "pixels"),
    )
    max_regions: int = setting(2000, "Regions of an image.", low=1, high=10**6)
    least_side: float = setting(
        0.0,
        "Smallest side of a region, as a share of the image's; 0 as published, where regions of a "
        "cell or two, which look alike everywhere, can outscore objects.",
        low=0,
        high=1,
    )
    region_sample: str = setting(
        "uniform",
        "How regions beyond that are left out: any, or the same from each group.",
        choices=("uniform", "groups"),
    )


@dataclasses.dataclass(frozen=True)
class CellSettings:
    """Objects from the cells of one image; the defaults are TokenCut's, MaskCut's and LOST's."""

    cell_norm: str = setting(
        "none",
        "Cells before ncut and lost compare them: as they are, less the image's mean, or whitened "
        "too.",
        choices=CELL_NORMS,
    )
    cut_thresholds: tuple[float, ...] = setting(
        (0.2,),
        "Cosine from which two cells are linked; each threshold gives cuts of its own.",
        low=-1,
        high=1,
        distinct=True,
    )
    cut_weights: str = setting(
        "hard",
        "Weight of a link: 1 (published), or the cosine.",
        choices=("hard", "soft"),
    )
    object_rank: str = setting(
        "found",
        "Order of what ncut and lost find: as it was found (published), or by its contrast.",
        choices=("found", "contrast"),
    )
    contrast_norm: str = setting(
        "whiten", "The same for the contrast of a box, on the finest map.", choices=CELL_NORMS
    )
    surround: float = setting(
        2.5,
        "Reach of the surroundings with which a box is contrasted, as a share of its sides.",
        above=0,
        high=100,
    )
    objects: int = setting(
        3, "Largest number of objects, each found in what the ones before left.", low=1, high=100
    )
    lost_seeds: int = setting(
        100, "Cells of least degree among which LOST's seed finds friends.", low=1, high=10**6
    )
    max_cells: int = setting(
        6400, "Cells of the largest map: memory goes with their square.", low=2, high=10**5
    )


@dataclasses.dataclass(frozen=True)
class RankingSettings:
    """The graph of matches, the ranking of regions and the choice of boxes."""

    neighbours: int = setting(
        100, "Nearest images to which an image is compared.", low=1, high=10**6
    )
    pair_top_k: int = setting(1000, "Scores kept of a pair of images.", low=1, high=10**7)
    standout: bool = setting(
        False, "Subtract from each score the best of the regions around it (Cho et al. 2015)."
    )
    hough_anchor: str = setting(
        "corner",
        "Point whose place two regions vote for: the lower right corner (published), which favours "
        "boxes near it, or the centre.",
        choices=("corner", "centre"),
    )
    ranker: str = setting("lod", "What orders the regions.", choices=RANKERS)
    rank_with_contrast: bool = setting(
        False,
        "Order the regions of an image by the sum of two ranks: by --ranker and by contrast.",
    )
    damping: float = setting(1e-4, "Share of the uniform graph.", low=0, high=1)
    teleport: float = setting(1e-4, "Share of the restart in a PageRank step.", low=0, high=1)
    iterations: int = setting(100, "Largest number of power iterations.", low=1, high=10**7)
    stop_change: float = setting(1e-6, "Change of the vector that ends the iteration.", low=0)
    stop_measure: str = setting(
        "absolute",
        "That change as it is (published), or as a share of the vector, which does not depend on "
        "the number of regions.",
        choices=("absolute", "relative"),
    )
    seed_share: float = setting(
        0.1, "Share of the images whose best region starts LOD's walk.", above=0, high=1
    )
    boxes_per_image: int = setting(10, "Largest number of boxes of an image.", low=1, high=10**4)
    max_iou: float = setting(0.3, "Largest overlap of two boxes of an image.", low=0, high=1)
    largest_area: float = setting(
        1.0,
        "Largest area of a box, as a share of the image's; 1 as published, where the whole image "
        "is often the first box: it matches every other whole image.",
        above=0,
        high=1,
    )


@dataclasses.dataclass(frozen=True)
class DiscoverSettings(ShardingSettings):
    """`python -m ssl_tf.discover`."""

    data: DataSettings
    features: FeatureSettings
    cells: CellSettings
    regions: RegionSettings
    ranking: RankingSettings
    discoverer: str = setting(
        "lod",
        "What finds objects: lod compares images. The others look at one at a time: ncut and lost "
        "cut its cells, contrast takes LOD's regions that stand out.",
        choices=DISCOVERERS,
    )
    boxes: str = setting(
        "",
        "ground_truth: measure the found boxes, and baselines, on those of the images.",
        choices=("", "ground_truth"),
        affects_result=False,
    )
    seed: int = setting(0, "Seed of all draws.", low=0, high=2**31 - 1)
    shard_images: int = setting(
        64, "Images of a shard; a killed run repeats a shard a worker at most.", low=1
    )
    memory_mib: int = setting(
        2048,
        "Memory for the matrix, and for a worker's descriptors, in MiB.",
        low=1,
        affects_result=False,
        high=2**24,
    )
    sheet_images: int = setting(
        24, "Images on the contact sheet.", low=0, affects_result=False, high=1000
    )

    @property
    def scorer(self) -> str:
        """What gave the boxes of the proposals their scores: a ranker, or the discoverer."""
        return self.ranking.ranker if self.discoverer == "lod" else self.discoverer

    @property
    def is_contrasted(self) -> bool:
        """Whether boxes are ordered by contrast, alone or with other ranks."""
        return (
            self.discoverer == "contrast"
            or self.cells.object_rank == "contrast"
            or self.ranking.rank_with_contrast
        )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        of_keras = self.features.encoder in KERAS_ENCODERS
        rankers = RANKERS if self.boxes else (self.ranking.ranker,)
        reason = f"--ranker={self.ranking.ranker} does not read it"
        iterated = ("iterations", "stop_change", "stop_measure")
        kind = self.discoverer
        unread = f"--discoverer={kind} does not read it"
        chosen = ("boxes_per_image", "max_iou", "largest_area")
        ranked = [f.name for f in dataclasses.fields(RankingSettings) if f.name not in chosen]
        compared = ("square_side", "descriptor_projection", "descriptor_norm", "memory_mib")
        regions = [f.name for f in dataclasses.fields(RegionSettings)]
        cuts = ("cut_thresholds", "cut_weights")
        masks = ("cell_norm", "object_rank", "objects")
        return {
            **never("boxes are found here, not taken", "proposals", "unmatched_proposals"),
            **never("images are read in their order", "shuffle_mib"),
            **unless(of_keras, "the encoder has its own weights", "encoder_weights"),
            **unless(not of_keras, f"{self.features.encoder} has no steps", "step"),
            **unless(self.features.encoder, "the encoder is of no run", "step"),
            **unless(
                not of_keras,
                f"{self.features.encoder} keeps its strides",
                "output_stride",
            ),
            **unless("lod" in rankers, reason, "seed_share"),
            **unless({"lod", "q"} & set(rankers), reason, "damping"),
            **unless({"lod", "pagerank"} & set(rankers), reason, "teleport"),
            **unless(set(rankers) - {"degree"}, reason, *iterated),
            **super().unused,
            **unless(kind == "lod", unread, *ranked, *compared),
            **unless(kind in ("lod", "contrast"), unread, *regions),
            **unless(
                self.is_contrasted, "boxes are not ordered by contrast", "contrast_norm", "surround"
            ),
            **unless(kind in ("ncut", "lost"), unread, *masks),
            **unless(kind == "ncut", unread, *cuts),
            **unless(kind == "lost", unread, "lost_seeds"),
            **unless(kind != "lod", unread, "max_cells"),
        }

    def __post_init__(self) -> None:
        if not self.output:
            raise SettingsError("--output: give the directory for the boxes")
        least, largest = self.regions.least_side**2, self.ranking.largest_area
        if "least_side" not in self.unused and least > largest:
            raise SettingsError(
                f"--least_side={self.regions.least_side:g}: a region has {least:g} of the image at "
                f"least, above --largest_area={largest:g}; lower the one or raise the other"
            )
        one_encoder(self.features.init, self.features.encoder, "--encoder")
