"""Every flag of every stage, once, with its bounds; frozen after reading.

The groups are shared between stages: a flag means the same wherever it stands.
"""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.flagfiles import setting

RECIPES = ("ma_ssrl", "byol", "simclr", "moco")
CROPS = ("uniform", "inception", "byol", "random_resized", "full")
REGIONS = ("scene_scene", "object_object", "object_dilated")
GROUND_TRUTH = "ground_truth"
STRATEGIES = (
    "integrated",
    "autoaugment",
    "fast_autoaugment",
    "randaugment",
    "byol_t",
    "byol_t_prime",
    "simclr",
    "ma_ssrl_simclr",
    "moco",
    "plain",
)
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
METHODS = ("ma_ssrl", "byol", "moco", "densecl")
PRETEXT = ("rotation", "localization")
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
    scene_objects: str = setting(
        "", "A prepared TFDS data set whose images stand in the scenes; empty: built-in shapes."
    )
    holdout: int = setting(
        0, "Images kept out of training for the monitors, where there is no other split.", low=0
    )
    proposals: str = setting(
        "", "A proposal store, for object crops; ground_truth: the boxes of the records themselves."
    )
    unmatched_proposals: str = setting(
        "error",
        "Proposals of images that are not in the source: error, or ignore where more were made.",
        choices=("error", "ignore"),
        free=True,
    )
    shuffle_mib: int = setting(1024, "Memory for shuffling encoded records, in MiB.", low=1)
    max_bad_images: int = setting(
        10, "Unreadable images to skip and report before the run stops.", low=0, free=True
    )

    def __post_init__(self) -> None:
        if len(self.named) > 1:
            raise SettingsError(f"{' and '.join(self.named)}: give one of them")
        if not self.named:
            raise SettingsError("no images: give --dataset, --image_folder or --tfrecord")
        if self.scene_objects and self.dataset != "scenes":
            raise SettingsError(
                f"--scene_objects={self.scene_objects}: only scenes have objects; give "
                "--dataset=scenes"
            )

    @property
    def named(self) -> list[str]:
        """The flags that name images."""
        return [f"--{n}" for n in ("dataset", "image_folder", "tfrecord") if getattr(self, n)]


@dataclasses.dataclass(frozen=True)
class ViewSettings:
    recipe: str = setting("ma_ssrl", "Crop and strategies of the views.", choices=RECIPES)
    image_size: int = setting(224, "Side of a view, in pixels.", low=8)
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
        "Inception, BYOL and random resized crop of scenes: smallest and largest area; empty: "
        "0.08,1, random resized 0.2,1.",
        above=0,
        high=1,
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
            if name == "crop_area" and not pair:
                continue
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
        if self.crops == "object_dilated" and self.distinct_crops % 2:
            raise SettingsError(
                f"--distinct_crops={self.distinct_crops}: --crops=object_dilated takes crops in "
                "pairs, give an even number"
            )
        _ = self.pairs  # a list that does not parse must fail here, not at the first step

    @property
    def strategies(self) -> tuple[str, ...]:
        """One strategy a view, the recipe's own where the flag is empty."""
        own = {
            "ma_ssrl": ("integrated", "integrated"),
            "byol": ("byol_t", "byol_t_prime"),
            "simclr": ("simclr", "simclr"),
            "moco": ("moco", "moco"),
        }
        return self.view_strategies or own[self.recipe]

    @property
    def crop_law(self) -> str:
        if self.crop:
            return self.crop
        own = {
            "ma_ssrl": "uniform",
            "byol": "byol",
            "simclr": "inception",
            "moco": "random_resized",
        }
        return "random_resized" if self.object_crops else own[self.recipe]

    @property
    def area(self) -> tuple[float, float]:
        """Smallest and largest area of a crop in a scene."""
        return self.crop_area or ((0.2, 1.0) if self.crop_law == "random_resized" else (0.08, 1.0))

    @property
    def object_crops(self) -> bool:
        return self.crops != "scene_scene"

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
    method: str = setting("ma_ssrl", "What is learned.", choices=METHODS)
    depth: int = setting(50, "ResNet depth: 18, 34, 50, 101, 152 or 200.")
    width: float = setting(1.0, "Multiplier of all channels, also below 1.", above=0)
    stem: str = setting(
        "imagenet", "7x7 stride 2 and pool, or 3x3 stride 1.", choices=("imagenet", "small")
    )
    batch_norm: str = setting(
        "synchronized",
        "Batch statistics: synchronized, over all replicas; shuffled, of each replica, with the "
        "keys' images shuffled over replicas (moco, densecl; on one replica the same).",
        choices=("synchronized", "shuffled"),
    )
    projector_hidden: int = setting(
        4096, "Hidden units of projector and predictor; MoCo's and DenseCL's is 2048.", low=1
    )
    projection: int = setting(
        256, "Outputs of projector and predictor; MoCo's and DenseCL's are 128.", low=2
    )
    projection_heads: str = setting(
        "shared",
        "One projector for all views, or one for object views and one for their surroundings.",
        choices=("shared", "per_view"),
    )
    tau: float = setting(
        0.99,
        "EMA decay of the target: of byol and ma_ssrl at the first step, rising to 1; of moco and "
        "densecl at every step, theirs is 0.999.",
        low=0,
        high=1,
    )
    queue: int = setting(65536, "Keys in the queue of moco and densecl.", low=1)
    temperature: float = setting(0.2, "Softmax temperature of moco and densecl.", above=0)
    symmetric: bool = setting(False, "moco and densecl: each view is a query, and each a key.")
    dense_weight: float = setting(0.5, "Share of densecl's dense loss, lambda.", low=0, high=1)
    dense_grid: int = setting(
        0, "Cells a side that densecl averages the last map to; 0: the map as it is.", low=0
    )
    pretext: tuple[str, ...] = setting(
        (), "Tasks learned beside the method, which need object crops.", choices=PRETEXT
    )
    rotation_weight: float = setting(1.0, "Weight of the rotation loss.", low=0)
    localization_weight: float = setting(1.0, "Weight of the localization loss.", low=0)
    localization_grid: int = setting(7, "Cells a side of the localization task, p.", low=1)

    def __post_init__(self) -> None:
        if self.depth not in (18, 34, 50, 101, 152, 200):
            raise SettingsError(f"--depth={self.depth}: choose 18, 34, 50, 101, 152 or 200")
        if self.batch_norm == "shuffled" and self.method not in ("moco", "densecl"):
            raise SettingsError(
                f"--batch_norm=shuffled: hides the keys of a queue; --method={self.method} has none"
            )


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
    accumulate: int = setting(
        1,
        "Parts in which a replica takes its share of the batch, where memory is short; the batch "
        "statistics are then those of a part.",
        low=1,
    )
    epochs: float = setting(300.0, "Passes over the images.", above=0)
    warmup_epochs: float = setting(10.0, "Epochs of linear warm-up.", low=0)
    weight_decay: float = setting(1.5e-6, "Weight decay; biases and normalization excluded.", low=0)
    decay_rank_one: bool = setting(
        False, "Weight decay of biases and normalization too, as MoCo has it; not with lars."
    )
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
        if self.decay_rank_one and self.optimizer == "lars":
            raise SettingsError(
                "--decay_rank_one: lars excludes biases and normalization; give --optimizer=sgd"
            )


@dataclasses.dataclass(frozen=True)
class NeighbourSettings:
    """Weighted kNN, of the monitor and of `python -m ssl_tf.knn`."""

    knn_k: int = setting(200, "Neighbours that vote in weighted kNN.", low=1)
    knn_temperature: float = setting(0.1, "Temperature of the kNN weights.", above=0)


@dataclasses.dataclass(frozen=True)
class MonitorSettings:
    neighbours: NeighbourSettings
    monitor_split: str = setting(
        "",
        "TFDS or scenes split for the monitors; empty: test or validation, where there is one.",
        free=True,
    )
    monitor_every: float = setting(1.0, "Epochs between two looks at the representation.", above=0)
    monitor_bank: int = setting(5000, "Labelled training images in the kNN bank.", low=1)
    monitor_queries: int = setting(1000, "Held-out images the monitors look at.", low=8)
    log_every: int = setting(50, "Steps between two lines of metrics.jsonl.", low=1)


@dataclasses.dataclass(frozen=True)
class RunSettings:
    run_dir: str = setting("runs/pretrain", "Everything the run writes goes here.", free=True)
    init_from: str = setting(
        "", "Run or checkpoint whose weights a new run starts with, at step 0; not resuming."
    )
    seed: int = setting(0, "Seed of weights, order and augmentation.", low=0, high=2**31 - 1)
    precision: str = setting(
        "float32",
        "Type of the networks' arithmetic; weights, losses and batch statistics stay float32.",
        choices=PRECISIONS,
    )
    xla: str = setting(
        "auto",
        "Compile the training step; auto: on one GPU, where it helps and works.",
        choices=("auto", "on", "off"),
        free=True,
    )
    steps_per_execution: int = setting(
        1, "Steps between two returns to Python; saves overhead of short steps.", low=1, free=True
    )
    profile_steps: str = setting(
        "", "First and last step, `100,110`, of a TensorBoard profile of this process.", free=True
    )
    logical_cpus: int = setting(
        0, "Split the CPU into this many replicas; 0: all GPUs, or one CPU.", low=0, free=True
    )
    worker_timeout: float = setting(
        60.0,
        "Seconds without a sign of another worker, at the start or later, that end the run.",
        above=2,
        free=True,
    )
    checkpoint_every: float = setting(1.0, "Epochs between two checkpoints.", above=0, free=True)
    keep_checkpoints: int = setting(2, "Newest checkpoints to keep.", low=1, free=True)
    dry_run: bool = setting(False, "Print what would happen, and leave.", free=True)

    def __post_init__(self) -> None:
        _ = self.profiled_steps  # what does not parse must fail here

    @property
    def profiled_steps(self) -> tuple[int, int] | None:
        """First and last step to profile, where any are."""
        if not self.profile_steps:
            return None
        try:
            first, last = (int(step) for step in self.profile_steps.split(","))
        except ValueError:
            first, last = 0, 0
        if not 1 <= first <= last:
            raise SettingsError(
                f"--profile_steps={self.profile_steps}: give the first and the last step, counted "
                "from 1, such as 100,110"
            )
        return first, last


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
        if self.views.object_crops and not self.data.proposals:
            raise SettingsError(
                f"--crops={self.views.crops}: give the boxes with --proposals=STORE, or "
                f"--proposals={GROUND_TRUTH} where the data has its own"
            )
        model = self.model
        if model.method in ("moco", "densecl") and self.views.pairs != ((0, 1),):
            raise SettingsError(
                f"--method={model.method}: compares two views; give two --view_strategies"
            )
        for name in model.pretext:
            if not self.views.object_crops:
                raise SettingsError(
                    f"--pretext={name}: needs an object and its surroundings; give "
                    "--crops=object_dilated"
                )
        if model.projection_heads == "per_view" and self.views.crops != "object_dilated":
            raise SettingsError(
                f"--projection_heads=per_view: the views of --crops={self.views.crops} are of one "
                "kind; give --crops=object_dilated or --projection_heads=shared"
            )


@dataclasses.dataclass(frozen=True)
class SubjectSettings:
    """What an evaluation looks at: the encoder of a run, and labelled images."""

    data: DataSettings
    checkpoint: str = setting("", "Run directory whose encoder is evaluated.")
    step: int = setting(0, "Step of the checkpoint to evaluate; 0: the newest.", low=0)
    output: str = setting("", "JSON file for the result; empty: STAGE.json in the run directory.")
    test_split: str = setting(
        "", "Split to report on; empty: test or validation, where there is one."
    )
    image_size: int = setting(
        0, "Side of the images that are looked at, in pixels; 0: that of the run's views.", low=0
    )
    random_baseline: bool = setting(True, "Evaluate the encoder the run started from beside it.")

    def __post_init__(self) -> None:
        if not self.checkpoint:
            raise SettingsError(
                "--checkpoint: give the run directory whose encoder is to be evaluated"
            )


@dataclasses.dataclass(frozen=True)
class LinearSettings:
    """`python -m ssl_tf.linear`."""

    subject: SubjectSettings
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
    base_learning_rates: tuple[float, ...] = setting(
        (),
        "Several such rates in place of one: a classifier each, trained side by side; the best on "
        "the --validation images is reported.",
        above=0,
    )
    validation: int = setting(
        0, "Training images kept out of training to choose the rate by.", low=0
    )
    schedule: str = setting(
        "cosine",
        "Decay of the rate: cosine, to 0; step, to a tenth at each of --drop_epochs.",
        choices=("cosine", "step"),
    )
    drop_epochs: tuple[float, ...] = setting((), "Epochs of the step schedule.", above=0)
    nesterov: bool = setting(True, "Nesterov momentum, or plain.")
    weight_decay: float = setting(0.0, "Weight decay of the classifier.", low=0)
    seed: int = setting(0, "Seed of the order and the crops.", low=0, high=2**31 - 1)

    @property
    def rates(self) -> tuple[float, ...]:
        """One base learning rate a classifier."""
        return self.base_learning_rates or (self.base_learning_rate,)

    def __post_init__(self) -> None:
        if len(self.rates) > 1 and not self.validation:
            raise SettingsError(
                f"--base_learning_rates={','.join(map(str, self.rates))}: the best is chosen on "
                "images held out of training, never on the test; give --validation=N"
            )
        if len(set(self.rates)) < len(self.rates):
            raise SettingsError("--base_learning_rates: give each rate once")
        if (self.schedule == "step") != bool(self.drop_epochs):
            raise SettingsError(
                f"--schedule={self.schedule}, --drop_epochs={self.drop_epochs}: give the epochs "
                "with --schedule=step, and only with it"
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


@dataclasses.dataclass(frozen=True)
class OpenImagesSettings:
    """`python -m ssl_tf.data.openimages`."""

    boxes: str = setting("", "Box CSV of OpenImages, train.")
    images: str = setting(
        "", "Folder of the train images, ID.jpg; empty: only count, and list the images to get."
    )
    test_boxes: str = setting("", "Box CSV of validation or test; empty: no test split.")
    test_images: str = setting("", "Folder of their images.")
    ids: str = setting(
        "", "List of train images (text, JSON, .npy) to take in place of the filters."
    )
    test_ids: str = setting("", "List of test images; empty: all that show a kept class.")
    allow_pickle: bool = setting(
        False, "Unpickle .npy lists, which runs any code that stands in them."
    )
    output: str = setting("", "Where prepared data sets lie; the later --data_dir.")
    name: str = setting("ohms", "Name of the data set; the later --dataset.")
    sources: tuple[str, ...] = setting((), "Values of the column Source to keep; empty: all.")
    drop_group_of: bool = setting(False, "Leave out boxes around groups.")
    drop_depiction: bool = setting(False, "Leave out boxes around depictions.")
    min_classes: int = setting(2, "Distinct classes an image needs.", low=1)
    min_images: int = setting(900, "Images a class needs, among those images.", low=1)
    min_classes_after: int = setting(
        1, "Distinct classes an image needs when rare classes are gone.", low=1
    )
    to_fixed_point: bool = setting(False, "Repeat the last two filters until nothing changes.")
    max_images: int = setting(0, "Train images to draw of what is left; 0: all.", low=0)
    random_control: bool = setting(
        False, "Also a split `random`: as many train images, drawn of all that have boxes."
    )
    max_missing: float = setting(
        0.02, "Share of the images of a split whose file may be missing.", low=0, high=1
    )
    seed: int = setting(0, "Seed of what is drawn.", low=0, high=2**31 - 1)

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
    """`python -m ssl_tf.proposals import`."""

    input: str = setting(
        "", "File of boxes: .json (COCO-style, too), .csv (OpenImages', too), .npy."
    )
    output: str = setting("", "New directory for the store.")
    id_template: str = setting(
        "",
        "Ids as the images' source has them, such as {id}.jpg; of {id}, {stem} and {file_name}.",
    )
    max_boxes: int = setting(10, "Boxes kept of an image, the best by score.", low=1)
    bad_boxes: str = setting(
        "error",
        "Boxes outside of the image, without area, with swapped corners or no number.",
        choices=("error", "drop"),
    )
    image_folder: str = setting("", "Images whose sizes turn pixels into fractions (.npy of COCO).")
    allow_pickle: bool = setting(False, "Load a .npy file, which may run any program; trust it.")

    def __post_init__(self) -> None:
        for name in ("input", "output"):
            if not getattr(self, name):
                raise SettingsError(f"--{name}: give the file of boxes and the store to make")


@dataclasses.dataclass(frozen=True)
class OptionalDataSettings(DataSettings):
    """Images, or none."""

    def __post_init__(self) -> None:
        if self.named:
            super().__post_init__()


@dataclasses.dataclass(frozen=True)
class StoreSettings:
    """`python -m ssl_tf.proposals inspect` and `verify`."""

    data: OptionalDataSettings
    records: int = setting(5, "Records to print.", low=0)

    def __post_init__(self) -> None:
        if not self.data.proposals or self.data.proposals == GROUND_TRUTH:
            raise SettingsError("--proposals: give the directory of the store")


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


@dataclasses.dataclass(frozen=True)
class KnnSettings:
    """`python -m ssl_tf.knn`."""

    subject: SubjectSettings
    neighbours: NeighbourSettings


@dataclasses.dataclass(frozen=True)
class CompareSettings:
    """`python -m ssl_tf.compare`."""

    runs: tuple[str, ...] = setting((), "Run directories; the plain arguments of the command.")
    output: str = setting("", "Directory for table.md, table.csv and curves.png.")

    def __post_init__(self) -> None:
        if not self.runs:
            raise SettingsError("give the run directories to compare, and --output=DIR")
        if not self.output:
            raise SettingsError("--output: give the directory for the table and the curves")
