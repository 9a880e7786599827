"""Settings of the features of a collection."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.settings.data import DataSettings
from ssl_tf.settings.fields import never, setting, unless
from ssl_tf.settings.initialization import InitEncoderSettings, one_encoder
from ssl_tf.settings.sharding import ShardingSettings

TABLE_FORMATS = ("parquet", "numpy", "tfrecord")
FEATURE_DTYPES = ("float32", "float16")
PROJECTIONS = ("tsne", "pca")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmbedSettings(ShardingSettings):
    """`python -m ssl_tf.embed`."""

    data: DataSettings
    init: InitEncoderSettings = dataclasses.field(default_factory=InitEncoderSettings)
    # No result depends on their names: the output directory records the encoder's weights.
    encoder: str = setting(
        "", "A run directory, or a SavedModel of ssl_tf.export.", affects_result=False
    )
    step: int = setting(
        0, "Step of the run's checkpoint; 0: the newest.", low=0, high=10**9, affects_result=False
    )
    image_size: int = setting(
        0,
        "Side of the encoder's input images, in pixels; 0: that of the run's views, of an export "
        "that of its export.json.",
        low=0,
        high=4096,
    )
    format: tuple[str, ...] = setting(
        ("parquet",),
        "Formats of the table, several at once.",
        choices=TABLE_FORMATS,
        distinct=True,
        affects_result=False,
    )
    feature_dtype: str = setting("float32", "Type of the stored features.", choices=FEATURE_DTYPES)
    batch_size: int = setting(64, "Images that the encoder sees at once.", low=1, high=2**16)
    shard_images: int = setting(
        1024, "Images of a shard, which is a file; a killed run repeats a shard a worker.", low=1
    )
    workers: int = setting(
        1,
        "Processes. 1: this one, with all cores and the GPU; more: one core each, on the CPU.",
        low=1,
        high=4096,
        affects_result=False,
    )
    report_images: int = setting(
        200_000,
        "Images that the report looks at, evenly spaced if there are more; 0: no report.",
        low=0,
        affects_result=False,
    )
    queries: int = setting(
        12,
        "Images whose neighbours are drawn, evenly spaced.",
        low=1,
        high=1000,
        affects_result=False,
    )
    duplicate_cosine: float = setting(
        0.99,
        "Smallest cosine of two images that count as near-duplicates.",
        above=0,
        high=1,
        affects_result=False,
    )
    map_projection: str = setting(
        "tsne",
        "How features become points of the map: t-SNE by scikit-learn, or the first two principal "
        "components.",
        choices=PROJECTIONS,
        affects_result=False,
    )
    map_images: int = setting(
        5000, "Images on the map, evenly spaced.", low=2, high=10**6, affects_result=False
    )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        init = self.init.init_encoder
        of_report = ("queries", "duplicate_cosine", "map_projection", "map_images")
        return {
            **unless(not init, "the weights of --init_encoder have no steps", "step"),
            **never("every image gets features", "holdout", "holdout_rule"),
            **never("images are read in their order", "shuffle_mib"),
            **never("features are of whole images", "proposals", "unmatched_proposals"),
            **unless(self.encoder, "the encoder is of no run", "step"),
            **super().unused,
            **unless(self.report_images, "--report_images=0 makes no report", *of_report),
        }

    def __post_init__(self) -> None:
        one_encoder(self.init, self.encoder, "--encoder")
        if not self.output:
            raise SettingsError("--output: give the directory for the features")
        if self.shard_images % self.batch_size:
            # So a batch is the same images whichever shard an interrupted run begins with.
            raise SettingsError(
                f"--shard_images={self.shard_images} is no multiple of --batch_size="
                f"{self.batch_size}; give one, such as {-(-1024 // self.batch_size)} batches: "
                f"{-(-1024 // self.batch_size) * self.batch_size}"
            )
