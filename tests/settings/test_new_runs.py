"""What a new run is refused for: periods that it never ends, views that no loss sees."""

import pytest

from ssl_tf.errors import SettingsError
from ssl_tf.settings import PretrainSettings, flagfiles

DILATED = "--crops=object_dilated --proposals=ground_truth"


def read(flags):
    return flagfiles.parse(["--dataset=scenes", *flags.split()], PretrainSettings)


@pytest.mark.parametrize(
    "flags, flag",
    [
        ("--method=swav --epochs=1 --freeze_prototypes=1", "freeze_prototypes=1.0"),
        ("--method=swav --epochs=15 --feature_queue=512", "feature_queue_start=15.0"),
        ("--method=dino --epochs=30", "teacher_temperature_epochs=30.0"),
    ],
)
def test_a_period_that_never_ends_is_refused(flags, flag):
    settings = read(f"{flags} --warmup_epochs=0")
    with pytest.raises(SettingsError, match=f"--{flag}: does not end within the run"):
        settings.check_new()
    # An epoch more is enough.
    read(f"{flags} --warmup_epochs=0 --epochs={settings.optimization.epochs + 1}").check_new()


def test_a_constant_temperature_has_no_period():
    flags = "--method=dino --epochs=10 --warmup_epochs=0"
    read(f"{flags} --teacher_temperature=0.04").check_new()


def test_an_inception_crop_below_a_tenth_is_refused():
    with pytest.raises(SettingsError, match="covers more than a tenth"):
        read("--crop=inception --recipe=byol --crop_area=0.05,0.1").check_new()
    read("--crop=inception --recipe=byol --crop_area=0.05,0.12").check_new()


def test_object_crops_of_views_of_both_kinds_are_accepted():
    read(f"--method=moco --recipe=moco {DILATED}").check_new()
    read(f"--method=byol --recipe=byol --view_strategies=plain,plain,plain {DILATED}").check_new()


@pytest.mark.parametrize(
    "flags",
    [
        "--method=supervised --recipe=moco --view_strategies=plain",
        "--method=byol --recipe=byol --view_strategies=plain,plain,plain --compared_pairs=0:2",
    ],
)
def test_surroundings_that_no_loss_sees_are_refused(flags):
    with pytest.raises(SettingsError, match="the loss sees views of one kind alone"):
        read(f"{flags} {DILATED}").check_new()


def test_labels_of_cells_beside_policies_that_move_pixels_are_refused():
    flags = f"--method=moco --pretext=localization {DILATED}"
    with pytest.raises(SettingsError, match="of the second view, and the policies of integrated"):
        read(f"{flags} --recipe=ma_ssrl").check_new()
    read(f"{flags} --recipe=ma_ssrl --view_strategies=integrated,moco").check_new()
    read(f"{flags} --recipe=ma_ssrl_authors --method=byol").check_new()
    read(f"{flags} --recipe=ma_ssrl --pretext=rotation").check_new()


FOUR = "--view_strategies=plain,plain,plain,plain --compared_pairs=0:1"


@pytest.mark.parametrize("method", ["moco", "densecl", "swav", "dino"])
def test_a_method_of_two_views_takes_no_more(method):
    flags = f"--method={method} --recipe=moco --epochs=100"
    with pytest.raises(SettingsError, match=f"--method={method} compares two views; give two"):
        read(f"{flags} {FOUR}").check_new()
    read(f"{flags} --view_strategies=plain,moco --compared_pairs=0:1").check_new()


def test_views_in_place_of_those_that_share_crops_say_their_crops():
    views = "--recipe=ma_ssrl_authors --view_strategies=byol_t,byol_t,plain,plain"
    with pytest.raises(SettingsError, match="say --distinct_crops=2 for these, too"):
        read(views).check_new()
    for crops, of_views in ((2, (0, 1, 0, 1)), (4, (0, 1, 2, 3))):
        settings = read(f"{views} --distinct_crops={crops}")
        settings.check_new()
        assert settings.views.crop_of_views == of_views
    own = read("--recipe=ma_ssrl_authors")
    own.check_new()
    assert own.views.crop_of_views == (0, 1) * 4


def test_a_rotation_needs_two_views():
    flags = "--method=supervised --recipe=moco --crops=object_object --proposals=ground_truth"
    with pytest.raises(SettingsError, match="--pretext=rotation: compares an object with its sur"):
        read(f"{flags} --pretext=rotation --view_strategies=plain")
    read(f"{flags} --pretext=rotation --view_strategies=plain,plain").check_new()


def test_a_pair_of_views_is_compared_once():
    flags = "--method=byol --recipe=byol --view_strategies=plain,plain,plain --compared_pairs="
    read(f"{flags}0:1,0:2").check_new()
    for pairs in ("0:1,0:2,1:0", "0:2,0:1,0:1"):
        with pytest.raises(SettingsError, match=f"{pairs}: gives 0:1 twice"):
            read(f"{flags}{pairs}").check_new()


@pytest.mark.parametrize("name", ["ma_ssrl", "byol", "simclr", "barlow_twins"])
def test_a_warm_up_that_never_ends_is_refused(name):
    """A recipe of hundreds of epochs, tried for ten."""
    flags = f"--flagfile=configs/{name}.flags --dataset=scenes --num_images=0 --num_classes=0"
    with pytest.raises(SettingsError, match="--warmup_epochs=10.0: does not end within the run"):
        read(f"{flags} --epochs=10").check_new()
    read(f"{flags} --epochs=10 --warmup_epochs=1").check_new()


def test_views_that_no_pair_compares_are_refused():
    views = "--method=byol --recipe=byol --view_strategies=plain,plain,plain,plain"
    with pytest.raises(SettingsError, match="leaves out view 0, which would be made for nothing"):
        read(f"{views} --compared_pairs=2:3").check_new()
    read(f"{views} --compared_pairs=0:1,2:3").check_new()


def test_a_level_above_the_scale_is_refused():
    recipe = "--recipe=ma_ssrl --randaugment_magnitude=15"
    with pytest.raises(SettingsError, match="magnitude=15: above --level_scale=10"):
        read(recipe).check_new()
    read(f"{recipe} --level_scale=30").check_new()
