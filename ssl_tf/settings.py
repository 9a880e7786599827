"""Every flag of every stage, once, with its bounds; frozen after reading.

The groups are shared between stages: a flag means the same wherever it stands.
"""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.flagfiles import setting

RECIPES = ("ma_ssrl", "byol", "simclr")
CROPS = ("uniform", "inception", "byol", "full")
STRATEGIES = (
    "integrated",
    "autoaugment",
    "fast_autoaugment",
    "randaugment",
    "byol_t",
    "byol_t_prime",
    "simclr",
    "ma_ssrl_simclr",
    "plain",
)
RIVALS = ("torchvision", "keras_cv", "tf_models")


@dataclasses.dataclass(frozen=True)
class DataSettings:
    dataset: str = setting(
        "", "A prepared TFDS data set (`cifar10`), or `scenes`, the built-in one."
    )
    data_dir: str = setting(
        "", "Where TFDS data sets lie; empty: TFDS_DATA_DIR or its default.", free=True
    )
    split: str = setting("train", "TFDS split to learn from; slices such as train[:90%] work.")
    image_folder: str = setting(
        "", "A folder of images: flat and unlabelled, or one folder a class."
    )
    tfrecord: str = setting("", "TFRecord files of tf.train.Example with image/encoded, as a glob.")
    num_images: int = setting(0, "Expected number of images; 0: whatever there is.", low=0)
    scenes: int = setting(4000, "Number of built-in scenes to render.", low=1)
    scene_size: int = setting(48, "Side of a built-in scene, in pixels.", low=16)
    holdout: int = setting(
        0, "Images kept out of training for the monitors, where there is no other split.", low=0
    )
    shuffle_mib: int = setting(1024, "Memory for shuffling encoded records, in MiB.", low=1)
    max_bad_images: int = setting(
        10, "Unreadable images to skip and report before the run stops.", low=0, free=True
    )

    def __post_init__(self) -> None:
        given = [f"--{n}" for n in ("dataset", "image_folder", "tfrecord") if getattr(self, n)]
        if len(given) > 1:
            raise SettingsError(f"{' and '.join(given)}: give one of them")
        if not given:
            raise SettingsError("no images: give --dataset, --image_folder or --tfrecord")


@dataclasses.dataclass(frozen=True)
class ViewSettings:
    recipe: str = setting("ma_ssrl", "Crop and strategies of the views.", choices=RECIPES)
    image_size: int = setting(224, "Side of a view, in pixels.", low=8)
    crop: str = setting("", "Crop law; empty: the recipe's own.", choices=("", *CROPS))
    crop_ratio: tuple[float, ...] = setting(
        (0.5, 1.0), "Uniform crop: smallest and largest ratio of the sides.", above=0, high=1
    )
    crop_area: tuple[float, ...] = setting(
        (0.08, 1.0), "Inception and BYOL crop: smallest and largest area.", above=0, high=1
    )
    flip: float = setting(0.5, "Probability of a horizontal flip.", low=0, high=1)
    view_strategies: tuple[str, ...] = setting(
        (), "One strategy a view; empty: the recipe's own two.", choices=STRATEGIES
    )
    distinct_crops: int = setting(
        0, "Crops an image: view v uses crop v mod this; 0: every view its own.", low=0
    )
    compared_pairs: str = setting("all", "Pairs of views compared: all, or a list such as 0:1,2:3.")
    policy_set: str = setting(
        "imagenet",
        "Data on which the AutoAugment and Fast AutoAugment lists were searched.",
        choices=("imagenet", "cifar10", "svhn"),
    )
    randaugment_ops: int = setting(2, "RandAugment N, operations a view.", low=1, high=3)
    randaugment_magnitude: float = setting(9.0, "RandAugment M, on the level scale.", low=0)
    level_scale: int = setting(10, "Level at which an operation is at full range: 10 or 30.")
    posterize_solarize: str = setting(
        "tf",
        "Meaning of their levels: tf, weaker with the level; pil, stronger.",
        choices=("tf", "pil"),
    )
    jitter_strength: float = setting(1.0, "SimCLR's colour strength s.", low=0)
    augment_on: str = setting(
        "host",
        "Where pixel operations run: host, in the input pipeline; device, in the training step.",
        choices=("host", "device"),
        free=True,
    )

    def __post_init__(self) -> None:
        for name in ("crop_ratio", "crop_area"):
            pair = getattr(self, name)
            if len(pair) != 2 or pair[0] > pair[1]:
                raise SettingsError(f"--{name}={pair}: give two numbers, the smaller one first")
        if self.level_scale not in (10, 30):
            raise SettingsError(f"--level_scale={self.level_scale}: choose 10 or 30")
        if self.randaugment_magnitude > 30:
            raise SettingsError(f"--randaugment_magnitude={self.randaugment_magnitude}: at most 30")
        if self.distinct_crops > len(self.strategies):
            raise SettingsError(
                f"--distinct_crops={self.distinct_crops}: more crops than the "
                f"{len(self.strategies)} views"
            )
        _ = self.pairs  # a list that does not parse must fail here, not at the first step

    @property
    def strategies(self) -> tuple[str, ...]:
        """One strategy a view, the recipe's own where the flag is empty."""
        own = {
            "ma_ssrl": ("integrated", "integrated"),
            "byol": ("byol_t", "byol_t_prime"),
            "simclr": ("simclr", "simclr"),
        }
        return self.view_strategies or own[self.recipe]

    @property
    def crop_law(self) -> str:
        return (
            self.crop or {"ma_ssrl": "uniform", "byol": "byol", "simclr": "inception"}[self.recipe]
        )

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Unordered pairs of view indices whose loss is taken, in both directions each."""
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


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    method: str = setting("ma_ssrl", "What is learned.", choices=("ma_ssrl", "byol"))
    depth: int = setting(50, "ResNet depth: 18, 34, 50, 101, 152 or 200.")
    width: float = setting(1.0, "Multiplier of all channels, also below 1.", above=0)
    stem: str = setting(
        "imagenet", "7x7 stride 2 and pool, or 3x3 stride 1.", choices=("imagenet", "small")
    )
    projector_hidden: int = setting(4096, "Hidden units of projector and predictor.", low=1)
    projection: int = setting(256, "Outputs of projector and predictor.", low=2)
    tau: float = setting(
        0.99, "EMA decay of the target at the first step; ends at 1.", low=0, high=1
    )

    def __post_init__(self) -> None:
        if self.depth not in (18, 34, 50, 101, 152, 200):
            raise SettingsError(f"--depth={self.depth}: choose 18, 34, 50, 101, 152 or 200")


@dataclasses.dataclass(frozen=True)
class OptimizationSettings:
    optimizer: str = setting("lars", "Optimizer.", choices=("lars", "sgd", "adamw"))
    lars_variant: str = setting(
        "byol", "Where the learning rate meets the momentum.", choices=("byol", "simclr")
    )
    base_learning_rate: float = setting(
        0.3, "Learning rate for a batch of 256, scaled linearly.", above=0
    )
    batch_size: int = setting(2048, "Global batch, over all replicas.", low=2)
    epochs: float = setting(300.0, "Passes over the images.", above=0)
    warmup_epochs: float = setting(10.0, "Epochs of linear warm-up.", low=0)
    weight_decay: float = setting(1.5e-6, "Weight decay; biases and normalization excluded.", low=0)
    momentum: float = setting(0.9, "Momentum.", low=0, high=1)
    trust_coefficient: float = setting(1e-3, "LARS trust coefficient.", above=0)

    def __post_init__(self) -> None:
        if self.warmup_epochs > self.epochs:
            raise SettingsError(
                f"--warmup_epochs={self.warmup_epochs}: longer than the run, --epochs={self.epochs}"
            )
        if self.optimizer == "adamw" and self.base_learning_rate > 0.01:
            raise SettingsError(
                f"--base_learning_rate={self.base_learning_rate}: a LARS or SGD rate destroys an "
                "AdamW run; give at most 0.01 with --optimizer=adamw"
            )


@dataclasses.dataclass(frozen=True)
class MonitorSettings:
    monitor_split: str = setting(
        "",
        "TFDS or scenes split for the monitors; empty: test or validation, where there is one.",
        free=True,
    )
    monitor_every: float = setting(1.0, "Epochs between two looks at the representation.", above=0)
    monitor_bank: int = setting(5000, "Labelled training images in the kNN bank.", low=1)
    monitor_queries: int = setting(1000, "Held-out images the monitors look at.", low=8)
    knn_k: int = setting(200, "Neighbours of the kNN monitor.", low=1)
    knn_temperature: float = setting(0.1, "Temperature of the kNN weights.", above=0)
    log_every: int = setting(50, "Steps between two lines of metrics.jsonl.", low=1)


@dataclasses.dataclass(frozen=True)
class RunSettings:
    run_dir: str = setting("runs/pretrain", "Everything the run writes goes here.", free=True)
    seed: int = setting(0, "Seed of weights, order and augmentation.", low=0, high=2**31 - 1)
    logical_cpus: int = setting(
        0, "Split the CPU into this many replicas; 0: all GPUs, or one CPU.", low=0, free=True
    )
    checkpoint_every: float = setting(1.0, "Epochs between two checkpoints.", above=0, free=True)
    keep_checkpoints: int = setting(2, "Newest checkpoints to keep.", low=1, free=True)
    dry_run: bool = setting(False, "Print what would happen, and leave.", free=True)


@dataclasses.dataclass(frozen=True)
class PretrainSettings:
    """`python -m ssl_tf.pretrain`."""

    data: DataSettings
    views: ViewSettings
    model: ModelSettings
    optimization: OptimizationSettings
    monitor: MonitorSettings
    run: RunSettings

    def __post_init__(self) -> None:
        if not self.views.pairs:
            raise SettingsError("--view_strategies: views are compared in pairs, give two or more")


@dataclasses.dataclass(frozen=True)
class LinearSettings:
    """`python -m ssl_tf.linear`."""

    data: DataSettings
    checkpoint: str = setting("", "Run directory whose encoder is probed.")
    step: int = setting(0, "Step of the checkpoint to probe; 0: the newest.", low=0)
    output: str = setting("", "JSON file for the result; empty: RUN/linear.json.")
    test_split: str = setting(
        "", "Split to report on; empty: test or validation, where there is one."
    )
    augment: bool = setting(
        False, "Random crop and flip while training; off: features are computed once and kept."
    )
    standardize: bool = setting(
        True, "Features to zero mean and unit variance before the classifier, by its batches."
    )
    epochs: float = setting(50.0, "Epochs of the classifier.", above=0)
    batch_size: int = setting(256, "Batch of the classifier.", low=2)
    base_learning_rate: float = setting(
        0.1, "Learning rate for a batch of 256, scaled linearly.", above=0
    )
    weight_decay: float = setting(0.0, "Weight decay of the classifier.", low=0)
    random_baseline: bool = setting(True, "Probe the encoder the run started from beside it.")
    seed: int = setting(0, "Seed of the order and the crops.", low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        if not self.checkpoint:
            raise SettingsError(
                "--checkpoint: give the run directory whose encoder is to be probed"
            )


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """`python -m ssl_tf.export`."""

    checkpoint: str = setting("", "Run directory whose encoder is exported.")
    step: int = setting(0, "Step of the checkpoint to export; 0: the newest.", low=0)
    output: str = setting("", "New directory for the SavedModel; empty: RUN/export.")

    def __post_init__(self) -> None:
        if not self.checkpoint:
            raise SettingsError(
                "--checkpoint: give the run directory whose encoder is to be exported"
            )


@dataclasses.dataclass(frozen=True)
class BenchmarkSettings:
    """`python -m ssl_tf.benchmark`; takes the flagfile of any pre-training."""

    pretrain: PretrainSettings
    seconds: float = setting(10.0, "Time for each pipeline, in seconds.", above=0)
    repetitions: int = setting(5, "Turns that the pipelines take, sharing that time.", low=1)
    cores: int = setting(0, "Cores of the machine to measure on; 0: all.", low=0)
    sample: int = setting(256, "Images to measure on, kept in memory.", low=1)
    against: tuple[str, ...] = setting(
        (), "Other libraries to measure beside it, where installed.", choices=RIVALS
    )
    gpus: int = setting(8, "GPUs to keep busy.", low=1)
    gpu_images_per_second: float = setting(750.0, "Images one GPU takes in a second.", above=0)
    output: str = setting("", "JSON file for the result; empty: none.")


@dataclasses.dataclass(frozen=True)
class ViewsReportSettings:
    """`python -m ssl_tf.views_report`; takes the flagfile of any pre-training."""

    pretrain: PretrainSettings
    output: str = setting("", "Directory for the sheets.")
    images: int = setting(4, "Images to show.", low=1)
    draws: int = setting(3, "Draws of the recipe to show of each image.", low=1)
    levels: tuple[float, ...] = setting(
        (), "Levels to show of each operation; empty: four, up to --level_scale.", low=0
    )

    def __post_init__(self) -> None:
        if not self.output:
            raise SettingsError("--output: give the directory for the sheets")


RANKERS = ("lod", "q", "pagerank", "degree")


@dataclasses.dataclass(frozen=True)
class RegionSettings:
    """Boxes out of feature maps; the defaults are LOD's for VGG16."""

    peaks: int = setting(20, "Peaks of a feature map.", low=1)
    peak_threshold: float = setting(
        0.3, "A peak's least saliency, as a share of the map's largest.", low=0, high=1
    )
    peak_window: int = setting(3, "Side of the window that a peak keeps for itself.", low=1)
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
    max_regions: int = setting(2000, "Regions of an image.", low=1)
    region_sample: str = setting(
        "uniform",
        "How regions beyond that are left out: any, or the same from each group.",
        choices=("uniform", "groups"),
    )


@dataclasses.dataclass(frozen=True)
class FeatureSettings:
    """Where the maps and the descriptors come from."""

    encoder: str = setting(
        "",
        "A run directory, a SavedModel, or vgg16, vgg19 or resnet50 of Keras with "
        "--encoder_weights.",
    )
    encoder_weights: str = setting("", "Keras weights file of vgg16, vgg19 or resnet50.")
    step: int = setting(0, "Step of the run's checkpoint; 0: the newest.", low=0)
    layers: tuple[str, ...] = setting(
        (),
        "Layers of the maps, the one for the descriptors last; C2 to C5 name a ResNet's stages. "
        "Empty: C3,C4 of a ResNet, relu4_3,relu5_3 of a VGG.",
    )
    long_side: int = setting(
        0, "Longer side of the images under the encoder, in pixels; 0: as they are.", low=0
    )
    square_side: int = setting(
        224, "Side to which images are squashed for the descriptor that finds neighbours.", low=8
    )
    feature_batch: int = setting(16, "Images of one size under the encoder at a time.", low=1)
    descriptor_projection: int = setting(
        0, "Channels to which descriptors are projected at random; 0: all there are.", low=0
    )
    descriptor_norm: str = setting(
        "max01",
        "Region descriptors: over the image's largest value (published), or centred on the "
        "collection's mean and of unit length.",
        choices=("max01", "center_l2"),
    )


@dataclasses.dataclass(frozen=True)
class RankingSettings:
    """The graph, the ranking on it and the choice of boxes."""

    neighbours: int = setting(100, "Nearest images to which an image is compared.", low=1)
    pair_top_k: int = setting(1000, "Scores kept of a pair of images.", low=1)
    standout: bool = setting(
        False, "Less each score the best of the regions around it (Cho et al. 2015)."
    )
    hough_anchor: str = setting(
        "corner",
        "Point whose place two regions vote for: the lower right corner (published), which favours "
        "boxes near it, or the centre.",
        choices=("corner", "centre"),
    )
    ranker: str = setting("lod", "What orders the regions.", choices=RANKERS)
    damping: float = setting(1e-4, "Share of the uniform graph.", low=0, high=1)
    teleport: float = setting(1e-4, "Share of the restart in a PageRank step.", low=0, high=1)
    iterations: int = setting(100, "Most power iterations.", low=1)
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
    boxes_per_image: int = setting(10, "Boxes an image may get.", low=1)
    max_iou: float = setting(0.3, "Largest overlap of two boxes of an image.", low=0, high=1)


@dataclasses.dataclass(frozen=True)
class DiscoverSettings:
    """`python -m ssl_tf.discover`."""

    data: DataSettings
    features: FeatureSettings
    regions: RegionSettings
    ranking: RankingSettings
    output: str = setting("", "Everything found goes here; started again, the work goes on.")
    boxes: str = setting(
        "",
        "ground_truth: measure the found boxes on those of the images, beside baselines.",
        choices=("", "ground_truth"),
        free=True,
    )
    seed: int = setting(0, "Seed of all draws.", low=0, high=2**31 - 1)
    shard_images: int = setting(
        64, "Images of a shard, the work that a killed run repeats at most.", low=1
    )
    workers: int = setting(0, "Processes of the local runner; 0: one a core.", low=0, free=True)
    beam_options: tuple[str, ...] = setting(
        (), "Options of Apache Beam, such as --runner=FlinkRunner; empty: this machine.", free=True
    )
    memory_mib: int = setting(
        2048, "Memory for the matrix, and for a worker's descriptors, in MiB.", low=1, free=True
    )
    sheet_images: int = setting(24, "Images on the contact sheet.", low=0, free=True)

    def __post_init__(self) -> None:
        if not self.output:
            raise SettingsError("--output: give the directory for the boxes")
        if not self.features.encoder:
            raise SettingsError(
                "--encoder: give a run directory, a SavedModel, or vgg16 with --encoder_weights"
            )
