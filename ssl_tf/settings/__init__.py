"""Every flag of every stage, once, with its bounds; frozen after reading.

A group of flags that several stages share is defined once.
"""

from ssl_tf.settings.annotations import AnnotationSettings
from ssl_tf.settings.benchmarking import InputBenchmarkSettings, TrainBenchmarkSettings
from ssl_tf.settings.boxes import (
    ImportProposalsSettings,
    InspectSettings,
    OpenImagesSettings,
    ShuffleSettings,
    StoreSettings,
)
from ssl_tf.settings.data import (
    GROUND_TRUTH,
    DataSettings,
    ReadingSettings,
)
from ssl_tf.settings.detection import DetectorSettings, DetectSettings
from ssl_tf.settings.discovery import (
    RANKERS,
    CellSettings,
    DiscoverSettings,
    FeatureSettings,
    RankingSettings,
    RegionSettings,
)
from ssl_tf.settings.downstream import DownstreamSettings, StartSettings
from ssl_tf.settings.embedding import TABLE_FORMATS, EmbedSettings
from ssl_tf.settings.evaluation import (
    CompareSettings,
    EncoderSettings,
    EvaluationSettings,
    KnnSettings,
    LinearSettings,
)
from ssl_tf.settings.exporting import FORMATS, ExportSettings, FormatSettings
from ssl_tf.settings.finetuning import FineTuneSettings, LabelSettings, TuningSettings
from ssl_tf.settings.initialization import InitEncoderSettings
from ssl_tf.settings.label_share import LISTS_OF, ShareSettings
from ssl_tf.settings.methods import METHODS, PRETEXT
from ssl_tf.settings.model import ModelSettings
from ssl_tf.settings.optimization import OptimizationSettings
from ssl_tf.settings.preparing import PrepareSettings
from ssl_tf.settings.pretraining import (
    PretrainSettings,
    ViewsReportSettings,
)
from ssl_tf.settings.recipes import RECIPES, STRATEGIES
from ssl_tf.settings.run import MonitorSettings, NeighbourSettings, RunSettings
from ssl_tf.settings.segmenting import SegmenterSettings, SegmentSettings
from ssl_tf.settings.study import StudySettings
from ssl_tf.settings.transfer import SUITES, TransferSettings
from ssl_tf.settings.views import CROPS, REGIONS, ViewSettings

__all__ = [
    "AnnotationSettings",
    "CROPS",
    "CellSettings",
    "CompareSettings",
    "DataSettings",
    "DetectSettings",
    "DetectorSettings",
    "DiscoverSettings",
    "DownstreamSettings",
    "EmbedSettings",
    "EncoderSettings",
    "ExportSettings",
    "FORMATS",
    "FeatureSettings",
    "FineTuneSettings",
    "FormatSettings",
    "GROUND_TRUTH",
    "ImportProposalsSettings",
    "InitEncoderSettings",
    "InputBenchmarkSettings",
    "InspectSettings",
    "KnnSettings",
    "LISTS_OF",
    "LabelSettings",
    "LinearSettings",
    "METHODS",
    "ModelSettings",
    "MonitorSettings",
    "NeighbourSettings",
    "OpenImagesSettings",
    "OptimizationSettings",
    "PRETEXT",
    "PrepareSettings",
    "PretrainSettings",
    "RANKERS",
    "RECIPES",
    "REGIONS",
    "RankingSettings",
    "ReadingSettings",
    "RegionSettings",
    "RunSettings",
    "STRATEGIES",
    "SegmentSettings",
    "SegmenterSettings",
    "ShareSettings",
    "StartSettings",
    "SUITES",
    "ShuffleSettings",
    "TABLE_FORMATS",
    "StoreSettings",
    "StudySettings",
    "EvaluationSettings",
    "TrainBenchmarkSettings",
    "TransferSettings",
    "TuningSettings",
    "ViewSettings",
    "ViewsReportSettings",
]
