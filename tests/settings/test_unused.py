"""A flag that the source, the method or the stage cannot honour is refused, in every stage."""

import dataclasses

import pytest

from ssl_tf.errors import SettingsError
from ssl_tf.settings import (
    METHODS,
    CompareSettings,
    DataSettings,
    DetectSettings,
    DiscoverSettings,
    EmbedSettings,
    FineTuneSettings,
    ImportProposalsSettings,
    InputBenchmarkSettings,
    InspectSettings,
    KnnSettings,
    LinearSettings,
    OpenImagesSettings,
    PrepareSettings,
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
from ssl_tf.settings.data import with_rule_of
from ssl_tf.settings.views import with_library_of

FOLDER = "--image_folder=F"
OBJECTS = ("--crops=object_object", "--proposals=ground_truth")
EVALUATED = ("--checkpoint=RUN", FOLDER)
DETECTED = ("--dataset=scenes", "--checkpoint=RUN")
DISCOVERED = ("--output=nowhere", "--encoder=RUN", FOLDER)


@pytest.mark.parametrize(
    "settings_class, given, ignored",
    [
        (PretrainSettings, (FOLDER,), "--split=val"),
        (
            PretrainSettings,
            (FOLDER, "--method=dino", "--teacher_temperature=0.04"),
            "--teacher_temperature_epochs=5",
        ),
        (
            PretrainSettings,
            (FOLDER, "--method=dino", "--teacher_temperature_epochs=0"),
            "--first_teacher_temperature=0.01",
        ),
        (
            PretrainSettings,
            (FOLDER, "--method=simclr", "--projector_layers=1"),
            "--projector_hidden=77",
        ),
        (PretrainSettings, ("--tfrecord=F",), "--split=val"),
        (PretrainSettings, (FOLDER,), "--monitor_split=val"),
        (PretrainSettings, ("--dataset=cifar10", "--holdout=9"), "--monitor_split=test"),
        (PretrainSettings, (FOLDER,), "--scenes=9"),
        (PretrainSettings, (FOLDER,), "--data_dir=D"),
        (PretrainSettings, ("--dataset=scenes",), "--label_feature=kind"),
        (KnnSettings, EVALUATED, "--image_feature=left"),
        (StudySettings, ("--study=S", "--dry_run"), "--finished=F"),
        (PretrainSettings, (FOLDER, "--method=byol"), "--pair_loss=sum"),
        (
            PretrainSettings,
            (FOLDER, "--optimizer=sgd", "--weight_decay=0"),
            "--decay_rank_one",
        ),
        (PretrainSettings, ("--dataset=scenes",), "--shuffle_mib=9"),
        (PretrainSettings, ("--dataset=scenes", "--scene_objects=cifar10"), "--shuffle_mib=9"),
        (KnnSettings, EVALUATED, "--shuffle_mib=9"),
        (PretrainSettings, (FOLDER,), "--proposals=P"),
        (PretrainSettings, (FOLDER, *OBJECTS), "--unmatched_proposals=ignore"),
        (PretrainSettings, (FOLDER, "--crop=byol"), "--crop_ratio=0.4,1"),
        (PretrainSettings, (FOLDER, "--crop=uniform"), "--crop_area=0.4,1"),
        (PretrainSettings, (FOLDER,), "--smallest_area=0.2"),
        (PretrainSettings, (FOLDER,), "--min_crop=9"),
        (PretrainSettings, (FOLDER,), "--dilation=0.2"),
        (PretrainSettings, (FOLDER,), "--small_area=0.1,0.2"),
        (PretrainSettings, (FOLDER, "--recipe=simclr"), "--randaugment_magnitude=5"),
        (PretrainSettings, (FOLDER, "--recipe=byol"), "--jitter_strength=0.5"),
        (PretrainSettings, (FOLDER, "--recipe=ma_ssrl"), "--noblur"),
        (PretrainSettings, (FOLDER, "--recipe=ma_ssrl_authors"), "--level_scale=30"),
        (PretrainSettings, (FOLDER, "--optimizer=sgd"), "--trust_coefficient=0.01"),
        (PretrainSettings, (FOLDER, "--optimizer=sgd"), "--lars_variant=simclr"),
        (PretrainSettings, (FOLDER, "--method=byol"), "--queue=128"),
        (PretrainSettings, (FOLDER, "--method=simclr"), "--tau=0.9"),
        (PretrainSettings, (FOLDER, "--method=swav"), "--feature_queue_start=1"),
        (PretrainSettings, (FOLDER,), "--rotation_weight=2"),
        (KnnSettings, EVALUATED, "--test_split=val"),
        (LinearSettings, EVALUATED, "--test_split=val"),
        (FineTuneSettings, EVALUATED, "--test_split=val"),
        (LinearSettings, EVALUATED, "--split=val"),
        (LinearSettings, EVALUATED, "--proposals=P"),
        (LinearSettings, EVALUATED, "--checkpoint_every=2"),
        (
            LinearSettings,
            (*EVALUATED, "--base_learning_rates=1,2", "--validation=9"),
            "--base_learning_rate=3",
        ),
        (FineTuneSettings, (*EVALUATED, "--steps=9"), "--epochs=3"),
        (FineTuneSettings, EVALUATED, "--label_seed=3"),
        (
            FineTuneSettings,
            (*EVALUATED, "--weight_decays=1,2", "--validation=9"),
            "--weight_decay=3",
        ),
        (FineTuneSettings, (*EVALUATED, "--frozen_blocks=4"), "--trunk_rate_multiplier=0.1"),
        (FineTuneSettings, (*EVALUATED, "--frozen_blocks=4"), "--bn_momentum_rule=kornblith"),
        (FineTuneSettings, (*EVALUATED, "--weight_decays=0"), "--decay_over_rate"),
        (SegmentSettings, ("--dataset=scenes", "--checkpoint=RUN"), "--keep_empty"),
        (SegmentSettings, ("--dataset=scenes", "--checkpoint=RUN"), "--width=2"),
        (SegmentSettings, ("--dataset=scenes", "--output=O"), "--step=9"),
        (
            SegmentSettings,
            ("--dataset=scenes", "--output=O", "--optimizer=adamw", "--learning_rate=0.001"),
            "--head_rate=10",
        ),
        (DetectSettings, DETECTED, "--label_names=NAMES"),
        (DetectSettings, DETECTED, "--mask_convs=3"),
        (DetectSettings, (*DETECTED, "--detector=retinanet"), "--proposals=9"),
        (DetectSettings, (*DETECTED, "--detector=retinanet"), "--masks"),
        (TransferSettings, ("--checkpoint=RUN", "--protocol=finetune"), "--max_iterations=9"),
        (TransferSettings, ("--checkpoint=RUN",), "--base_learning_rates=0.1,0.2"),
        (TransferSettings, ("--checkpoint=RUN",), "--precision=mixed_bfloat16"),
        (DiscoverSettings, DISCOVERED, "--proposals=P"),
        (DiscoverSettings, DISCOVERED, "--split=val"),
        (DiscoverSettings, DISCOVERED, "--encoder_weights=W"),
        (DiscoverSettings, (*DISCOVERED, "--ranker=degree"), "--damping=0.5"),
        (EmbedSettings, DISCOVERED, "--holdout=9"),
        (EmbedSettings, DISCOVERED, "--proposals=P"),
        (EmbedSettings, DISCOVERED, "--split=val"),
        (EmbedSettings, (*DISCOVERED, "--report_images=0"), "--queries=3"),
        (EmbedSettings, (*DISCOVERED, "--beam_options=--runner=R"), "--workers=3"),
        (OpenImagesSettings, ("--boxes=B", "--output=O", "--ids=I"), "--min_images=9"),
        (OpenImagesSettings, ("--boxes=B", "--output=O"), "--seed=9"),
        (ImportProposalsSettings, ("--input=a.csv", "--output=O"), "--image_folder=I"),
        (InspectSettings, ("--proposals=P",), "--image_folder=I"),
        (InspectSettings, ("--proposals=P",), "--dataset=scenes"),
        (InspectSettings, ("--proposals=P",), "--unmatched_proposals=ignore"),
        (StoreSettings, ("--proposals=P",), "--split=val"),
        (StoreSettings, ("--proposals=P",), "--holdout=9"),
        (ShuffleSettings, (FOLDER, "--proposals=P", "--output=O"), "--holdout=9"),
        (PretrainSettings, ("--dataset=scenes",), "--scene_ground=cifar10"),
        (CompareSettings, ("--runs=A", "--output=O"), "--reference=A"),
        (InputBenchmarkSettings, (FOLDER,), "--split=val"),
        (ViewsReportSettings, (FOLDER, "--output=O"), "--split=val"),
        (DataSettings, (FOLDER,), "--split=val"),
        (DataSettings, ("--prepared=P",), "--orient"),
        (DataSettings, ("--prepared=P",), "--data_dir=D"),
        (PretrainSettings, ("--prepared=P", "--holdout=9"), "--monitor_split=validation"),
        (PrepareSettings, ("--input=I", "--output=O", "--encoding=raw"), "--quality=80"),
        (PrepareSettings, ("--input=I", "--output=O", "--beam_options=--x=1"), "--workers=2"),
    ],
)  # fmt: skip
def test_what_nothing_reads_is_refused_in_one_line(settings_class, given, ignored):
    flagfiles.parse(given, settings_class)
    with pytest.raises(SettingsError) as raised:
        flagfiles.parse([*given, ignored], settings_class)
    name = ignored.removeprefix("--no").removeprefix("--").partition("=")[0]
    assert str(raised.value).startswith(f"--{name}=") and "has no effect" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_refuses_the_flags_of_the_others_alone(method):
    settings = flagfiles.parse([FOLDER, f"--method={method}"], PretrainSettings)
    refused = set(fields.unused(settings))
    for row in METHODS.values():
        for name in row.flag_names:
            own = name in METHODS[method].flag_names
            assert own or name in refused
    depends_on_others = {
        "rotation_weight", "localization_weight", "localization_grid", "feature_queue_start",
        "pair_loss",
    }  # fmt: skip
    assert refused & METHODS[method].flag_names <= depends_on_others


def test_names_in_unused_are_flags_of_the_stage():
    for settings_class, given in (
        (PretrainSettings, (FOLDER,)),
        (LinearSettings, EVALUATED),
        (FineTuneSettings, EVALUATED),
        (TransferSettings, ("--checkpoint=RUN", "--protocol=finetune")),
        (DiscoverSettings, DISCOVERED),
        (EmbedSettings, DISCOVERED),
        (OpenImagesSettings, ("--boxes=B", "--output=O")),
        (StoreSettings, ("--proposals=P",)),
        (InspectSettings, ("--proposals=P",)),
    ):
        unused = fields.unused(flagfiles.parse(given, settings_class))
        assert set(unused) <= {*fields.names(settings_class)}


def test_a_flags_txt_lists_all_flags_and_is_taken(tmp_path):
    settings = flagfiles.parse([FOLDER, "--method=moco", "--queue=9"], PretrainSettings)
    flagfiles.write_flagfile(settings, tmp_path / "flags.txt")
    again = flagfiles.parse([f"--flagfile={tmp_path / 'flags.txt'}"], PretrainSettings)
    assert again == settings


def test_a_run_of_an_earlier_version_goes_on_with_or_without_what_nothing_read(tmp_path):
    old = tmp_path / "flags.txt"
    given = [FOLDER, "--method=byol", f"--run_dir={tmp_path}"]
    old.write_text("\n".join([*given, "--queue=128"]))
    recorded = flagfiles.read_flagfile(old, PretrainSettings)
    same = flagfiles.parse([*given, "--queue=128"], PretrainSettings)
    without = flagfiles.parse(given, PretrainSettings)

    def as_recorded(settings):
        data = with_rule_of(recorded.data, settings.data)
        views = with_library_of(recorded.views, settings.views)
        return dataclasses.replace(settings, data=data, views=views)

    assert as_recorded(same) == recorded
    assert fields.result_differences(recorded, as_recorded(without)) == {}
    with pytest.raises(SettingsError, match="--queue=64: has no effect"):
        flagfiles.parse([*given, "--queue=64"], PretrainSettings)


@pytest.mark.parametrize(
    "flags, told",
    [
        (("--dataset=d", "--holdout=9", "--test_split=test"), "--holdout=9 and --test_split=test"),
        ((FOLDER, "--holdout=9", "--test_image_folder=T"), "--holdout=9 and --test_image_folder"),
        (("--dataset=d", "--test_split=a", "--test_tfrecord=b"), "--test_split=a and --test_tf"),
        ((FOLDER, "--test_image_folder=F"), "the train images are no test images"),
        (("--dataset=d", "--test_split=train"), "the train images are no test images"),
    ],
)
def test_images_to_report_on_are_named_once_and_are_no_train_images(flags, told):
    with pytest.raises(SettingsError, match=told):
        flagfiles.parse(["--checkpoint=RUN", *flags], KnnSettings)


def test_sheets_show_operations_at_levels_that_the_recipe_does_not_read():
    given = [FOLDER, "--output=O", "--recipe=simclr", "--level_scale=30"]
    settings = flagfiles.parse(given, ViewsReportSettings)
    assert dataclasses.asdict(settings.pretrain.views)["level_scale"] == 30
