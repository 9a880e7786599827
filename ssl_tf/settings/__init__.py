"""Every flag of every stage, once, with its bounds; frozen after reading.

The groups are shared between stages: a flag means the same wherever it stands.
"""

from ssl_tf.settings.boxes import ImportProposalsSettings, OpenImagesSettings, StoreSettings
from ssl_tf.settings.data import (
    GROUND_TRUTH,
    DataSettings,
    OptionalDataSettings,
    ReadingSettings,
)
from ssl_tf.settings.discovery import (
    RANKERS,
    CellSettings,
    DiscoverSettings,
    FeatureSettings,
    RankingSettings,
    RegionSettings,
)
from ssl_tf.settings.evaluation import (
    CompareSettings,
    EncoderSettings,
    EvaluationSettings,
    ExportSettings,
    KnnSettings,
    LinearSettings,
)
from ssl_tf.settings.finetuning import FineTuneSettings, LabelSettings, TuningSettings
from ssl_tf.settings.methods import METHODS, PRETEXT
from ssl_tf.settings.model import ModelSettings
from ssl_tf.settings.optimization import OptimizationSettings
from ssl_tf.settings.pretraining import (
    RIVALS,
    BenchmarkSettings,
    PretrainSettings,
    ViewsReportSettings,
)
from ssl_tf.settings.recipes import RECIPES, STRATEGIES
from ssl_tf.settings.run import PRECISIONS, MonitorSettings, NeighbourSettings, RunSettings
from ssl_tf.settings.transfer import SUITES, TransferSettings
from ssl_tf.settings.views import CROPS, REGIONS, ViewSettings

__all__ = [
    "BenchmarkSettings",
    "CROPS",
    "CellSettings",
    "CompareSettings",
    "DataSettings",
    "DiscoverSettings",
    "EncoderSettings",
    "ExportSettings",
    "FeatureSettings",
    "FineTuneSettings",
    "GROUND_TRUTH",
    "ImportProposalsSettings",
    "KnnSettings",
    "LabelSettings",
    "LinearSettings",
    "METHODS",
    "ModelSettings",
    "MonitorSettings",
    "NeighbourSettings",
    "OpenImagesSettings",
    "OptimizationSettings",
    "OptionalDataSettings",
    "PRECISIONS",
    "PRETEXT",
    "PretrainSettings",
    "RANKERS",
    "RECIPES",
    "REGIONS",
    "RIVALS",
    "RankingSettings",
    "ReadingSettings",
    "RegionSettings",
    "RunSettings",
    "STRATEGIES",
    "SUITES",
    "StoreSettings",
    "EvaluationSettings",
    "TransferSettings",
    "TuningSettings",
    "ViewSettings",
    "ViewsReportSettings",
]
