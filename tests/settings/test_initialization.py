"""An encoder is named once: by the run that trained it, or by a file."""

import pytest

from ssl_tf.errors import SettingsError
from ssl_tf.settings import (
    DiscoverSettings,
    EmbedSettings,
    ExportSettings,
    FineTuneSettings,
    KnnSettings,
    LinearSettings,
    PretrainSettings,
    SegmentSettings,
    TransferSettings,
    flagfiles,
)

FILE, IMAGES, OUTPUT = "--init_encoder=F", "--image_folder=D", "--output=O"


@pytest.mark.parametrize(
    "settings_class, run, others",
    [
        (KnnSettings, "--checkpoint=RUN", (IMAGES, OUTPUT)),
        (LinearSettings, "--checkpoint=RUN", (IMAGES, OUTPUT)),
        (FineTuneSettings, "--checkpoint=RUN", (IMAGES, OUTPUT)),
        (TransferSettings, "--checkpoint=RUN", (OUTPUT,)),
        (ExportSettings, "--checkpoint=RUN", (OUTPUT,)),
        (DiscoverSettings, "--encoder=RUN", (IMAGES, OUTPUT)),
        (EmbedSettings, "--encoder=RUN", (IMAGES, OUTPUT)),
    ],
)
def test_one_encoder_is_named(settings_class, run, others):
    for encoder in (run, FILE):
        flagfiles.parse([encoder, *others], settings_class)
    for encoders in ((), (run, FILE)):
        with pytest.raises(SettingsError, match="--init_encoder: give one of them"):
            flagfiles.parse([*encoders, *others], settings_class)
    with pytest.raises(SettingsError, match="--step=3: has no effect, because the encoder is of"):
        flagfiles.parse([FILE, *others, "--step=3"], settings_class)
    if run == "--checkpoint=RUN":
        with pytest.raises(SettingsError, match="--output: give the"):
            flagfiles.parse([FILE, *(o for o in others if o != OUTPUT)], settings_class)


@pytest.mark.parametrize("flag", ["--allow_pickle", "--init_convention=caffe"])
def test_flags_of_a_file_need_one(flag):
    flagfiles.parse([IMAGES, FILE, flag], PretrainSettings)
    with pytest.raises(SettingsError, match="has no effect, because there is no --init_encoder"):
        flagfiles.parse([IMAGES, flag], PretrainSettings)


def test_caffe_has_pixels_of_its_own():
    flags = [IMAGES, FILE, "--init_mean=0.485,0.456,0.406"]
    flagfiles.parse([*flags, "--init_convention=torchvision"], PretrainSettings)
    with pytest.raises(SettingsError, match="--init_mean=.* has no effect, because caffe has its"):
        flagfiles.parse([*flags, "--init_convention=caffe"], PretrainSettings)


def test_a_run_starts_from_one_of_them():
    with pytest.raises(SettingsError, match="--init_from, --init_encoder: each gives"):
        flagfiles.parse([IMAGES, FILE, "--init_from=RUN"], PretrainSettings)


def test_basic_blocks_have_no_1x1_convolution_for_a_stride():
    flagfiles.parse([IMAGES, "--stride_in_1x1"], PretrainSettings)
    with pytest.raises(SettingsError, match="--depth=18 has no bottlenecks"):
        flagfiles.parse([IMAGES, "--depth=18", "--stride_in_1x1"], PretrainSettings)
    flags = ["--dataset=scenes", "--output=x", "--stride_in_1x1"]
    flagfiles.parse(flags, SegmentSettings)
    with pytest.raises(SettingsError, match="--depth=18 has no bottlenecks"):
        flagfiles.parse([*flags, "--depth=18"], SegmentSettings)


def test_a_random_encoder_has_no_normalization_to_freeze():
    """Its blocks begin with a last scale of 0: frozen, 16 of 20 kernels would never move."""
    flags = ["--dataset=scenes", "--output=x", "--batch_norm=frozen"]
    flagfiles.parse([*flags, "--checkpoint=RUN"], SegmentSettings)
    for others in ([], [FILE, "--random_baseline"]):
        with pytest.raises(SettingsError, match="--batch_norm=frozen: of a random encoder it"):
            flagfiles.parse([*flags, *others], SegmentSettings)
