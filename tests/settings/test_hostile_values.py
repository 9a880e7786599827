"""Values that no flag can take: the exit code of wrong flags, one line, at once."""

import pytest

from ssl_tf import command
from ssl_tf.errors import EXIT_FLAGS
from ssl_tf.settings import (
    CompareSettings,
    DataSettings,
    DetectSettings,
    DiscoverSettings,
    ExportSettings,
    FineTuneSettings,
    InputBenchmarkSettings,
    InspectSettings,
    KnnSettings,
    LinearSettings,
    OpenImagesSettings,
    PretrainSettings,
    SegmentSettings,
    ShuffleSettings,
    StoreSettings,
    StudySettings,
    TransferSettings,
    ViewsReportSettings,
    fields,
    flagfiles,
)

SCENES = "--dataset=scenes"
RUN = "--checkpoint=RUN"
STAGES = {
    PretrainSettings: (SCENES,),
    InputBenchmarkSettings: (SCENES,),
    ViewsReportSettings: (SCENES, "--output=O"),
    KnnSettings: (SCENES, RUN),
    LinearSettings: (SCENES, RUN),
    FineTuneSettings: (SCENES, RUN),
    SegmentSettings: (SCENES, RUN),
    DetectSettings: (SCENES, RUN),
    TransferSettings: (RUN,),
    ExportSettings: (RUN,),
    CompareSettings: ("--runs=A", "--output=O"),
    DiscoverSettings: (SCENES, "--output=nowhere", "--encoder=RUN"),
    OpenImagesSettings: ("--boxes=B", "--output=O"),
    StoreSettings: ("--proposals=P",),
    InspectSettings: ("--proposals=P",),
    ShuffleSettings: (SCENES, "--proposals=P", "--output=O"),
    StudySettings: ("--study=S", "--output=O"),
    DataSettings: (SCENES,),
}
HOSTILE = [
    (PretrainSettings, "--epochs=nan"),
    (PretrainSettings, "--epochs=inf"),
    (PretrainSettings, "--epochs=-inf"),
    (PretrainSettings, "--epochs=1e400"),
    (PretrainSettings, "--epochs=1e300"),
    (PretrainSettings, "--epochs="),
    (PretrainSettings, "--epochs=0x10p"),
    (PretrainSettings, "--epochs=1,5"),
    (PretrainSettings, "--warmup_epochs=nan"),
    (PretrainSettings, "--width=nan"),
    (PretrainSettings, "--width=1e9"),
    (PretrainSettings, "--width=-1"),
    (PretrainSettings, "--scenes=99999999999"),
    (PretrainSettings, "--scenes=1e3"),
    (PretrainSettings, "--scene_size=1000000"),
    (PretrainSettings, "--image_size=2147483647"),
    (PretrainSettings, "--batch_size=99999999999999999999999999"),
    (PretrainSettings, "--batch_size=" + "9" * 5000),
    (PretrainSettings, "--batch_size=\u0661\u0662x"),
    (PretrainSettings, "--seed=-1"),
    (PretrainSettings, "--seed=4294967296"),
    (PretrainSettings, "--holdout=-5"),
    (PretrainSettings, "--holdout=9223372036854775808"),
    (PretrainSettings, "--base_learning_rate=inf"),
    (PretrainSettings, "--momentum=nan"),
    (PretrainSettings, "--tau=nan"),
    (PretrainSettings, "--flip=nan"),
    (PretrainSettings, "--crop_area=nan,1"),
    (PretrainSettings, "--small_area=0.1,inf"),
    (PretrainSettings, "--crop_ratio=,"),
    (PretrainSettings, "--monitor_every=inf"),
    (PretrainSettings, "--checkpoint_every=nan"),
    (PretrainSettings, "--worker_timeout=inf"),
    (PretrainSettings, "--steps_per_execution=0"),
    (PretrainSettings, "--logical_cpus=99999999"),
    (PretrainSettings, "--profile_steps=nan,inf"),
    (PretrainSettings, "--compared_pairs=0:1:2"),
    (PretrainSettings, "--compared_pairs=" + "9" * 5000 + ":0"),
    (PretrainSettings, "--level_scale=nan"),
    (PretrainSettings, "--randaugment_magnitude=nan"),
    (PretrainSettings, "--dry_run=perhaps"),
    (PretrainSettings, "--precision=float\x1b[31m"),
    (PretrainSettings, "--\x1b[31m=1"),
    (PretrainSettings, "--method="),
    (PretrainSettings, "--flagfile=/dev/zero"),
    (PretrainSettings, "--flagfile"),
    (PretrainSettings, ""),
    (InputBenchmarkSettings, "--seconds=inf"),
    (InputBenchmarkSettings, "--gpu_images_per_second=nan"),
    (ViewsReportSettings, "--levels=1,nan"),
    (ViewsReportSettings, "--images=999999999"),
    (KnnSettings, "--knn_temperature=nan"),
    (KnnSettings, "--knn_temperature=inf"),
    (KnnSettings, "--knn_k=0"),
    (KnnSettings, "--step=-1"),
    (LinearSettings, "--base_learning_rates=0.1,nan"),
    (LinearSettings, "--drop_epochs=inf"),
    (LinearSettings, "--weight_decay=inf"),
    (FineTuneSettings, "--label_fraction=nan"),
    (FineTuneSettings, "--weight_decays=inf"),
    (FineTuneSettings, "--trunk_rate_multiplier=inf"),
    (TransferSettings, "--max_iterations=99999999999"),
    (TransferSettings, "--only=cifar10,nothing"),
    (ExportSettings, "--step=99999999999999999999"),
    (CompareSettings, "--runs="),
    (DiscoverSettings, "--damping=nan"),
    (DiscoverSettings, "--max_iou=nan"),
    (DiscoverSettings, "--levels=99999999999"),
    (DiscoverSettings, "--output_stride=5"),
    (OpenImagesSettings, "--max_missing=nan"),
    (OpenImagesSettings, "--name=../../x"),
    (InspectSettings, "--records=-1"),
    (ShuffleSettings, "--seed=-1"),
    (StudySettings, "--silence=0"),
    (StudySettings, "--silence=nan"),
    (CompareSettings, "--equal=steps"),
    (DataSettings, "--num_classes=1e3"),
    (DataSettings, "--max_bad_images=-1"),
]


@pytest.mark.parametrize("settings_class, hostile", HOSTILE)
def test_a_hostile_value_is_one_line_with_the_exit_code_of_flags(settings_class, hostile, capsys):
    def main(settings):
        raise AssertionError(f"{hostile!r} was accepted")

    with pytest.raises(SystemExit) as left:
        command.run(main, settings_class, [*STAGES[settings_class], hostile])
    printed = capsys.readouterr()
    assert left.value.code == EXIT_FLAGS
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    assert len(lines[0]) < 600 and lines[0].isprintable()


@pytest.mark.parametrize(
    "settings_class, flags, told",
    [
        (DiscoverSettings, ["--scales="], "--scales is empty; give one value or more"),
        (DiscoverSettings, ["--cut_thresholds="], "--cut_thresholds is empty"),
        (ExportSettings, ["--format="], "--format is empty"),
        (SegmentSettings, ["--test_scales="], "--test_scales is empty"),
        (ExportSettings, ["--format=keras,keras"], "--format=keras,keras: give each value once"),
        (SegmentSettings, ["--output=O", "--schedule=step", "--drop_steps=5,5"], "each value once"),
    ],
)
def test_a_list_that_needs_values_has_some_and_no_double_ones(settings_class, flags, told):
    with pytest.raises(flagfiles.SettingsError, match=told):
        flagfiles.parse([*STAGES[settings_class], *flags], settings_class)


@pytest.mark.parametrize("settings_class", STAGES)
def test_no_number_of_any_stage_takes_nan_or_more_than_its_bound(settings_class):
    for field, kind in fields.flag_fields(settings_class):
        element = flagfiles._element_type(kind) or kind
        if element is float:
            for value in (float("nan"), float("inf"), float("-inf")):
                with pytest.raises(flagfiles.SettingsError, match="must be"):
                    flagfiles._check(field.name, value, field.metadata)
        if element in (int, float):
            bound = field.metadata["high"] or fields.LARGEST
            with pytest.raises(flagfiles.SettingsError, match="must be at most|choose one of"):
                flagfiles._check(field.name, element(2 * bound), field.metadata)
