"""Every shipped flagfile parses, composes and says in its first lines how to use it."""

import re
from pathlib import Path

import numpy as np
import pytest

from ssl_tf.pretraining.dry_run import describe
from ssl_tf.settings import (
    DetectSettings,
    DiscoverSettings,
    FineTuneSettings,
    LinearSettings,
    PretrainSettings,
    SegmentSettings,
    TransferSettings,
    fields,
    flagfiles,
)
from ssl_tf.training.plan import make_plan
from ssl_tf.views.recipe import Recipe

CONFIGS = sorted(Path(__file__).parents[1].joinpath("configs").glob("*.flags"))
LINEAR = [path for path in CONFIGS if path.name.startswith("linear")]
FINETUNE = [path for path in CONFIGS if path.name.startswith("finetune")]
LOD = [path for path in CONFIGS if path.name.startswith("lod")]
SINGLE = [path for path in CONFIGS if path.stem.split("_")[0] in ("contrast", "ncut", "lost")]
TRANSFER = [path for path in CONFIGS if path.name.startswith("transfer")]
SEGMENT = [path for path in CONFIGS if path.name.startswith("segment")]
DETECT = [path for path in CONFIGS if path.name.startswith("detect")]
JUDGE = LINEAR + FINETUNE + TRANSFER + SEGMENT + DETECT
PRETRAIN = [path for path in CONFIGS if path not in JUDGE + LOD + SINGLE]


def name(path):
    return path.name


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_first_lines_give_the_command_and_the_result(path):
    comments = [line for line in path.read_text().splitlines()[:6] if line.startswith("#")]
    kind = path.stem.split("_")[0]
    same = {stage: stage for stage in ("linear", "finetune", "transfer", "segment", "detect")}
    discoverers = dict.fromkeys(("lod", "contrast", "ncut", "lost"), "discover")
    stage = {**same, **discoverers}.get(kind, "pretrain")
    command = f"python -m ssl_tf.{stage} --flagfile=configs/{path.name}"
    assert any(command in line for line in comments)
    results = ("CorLoc",) if path in LOD + SINGLE else ("top-1", "mAP", "mIoU", "AP")
    assert any(result in line for line in comments for result in results)


@pytest.mark.parametrize("path", PRETRAIN, ids=name)
def test_pretraining_flagfiles_compose(path):
    settings = flagfiles.parse([f"--flagfile={path}"], PretrainSettings)
    plan = make_plan(settings.optimization, settings.data.num_images or settings.data.scenes)
    assert 0 <= plan.warmup_steps < plan.total_steps
    views = {"supervised": 1, "cifar10_supervised": 1}
    views |= dict.fromkeys(("ma_ssrl_authors", "cifar10_ma_ssrl_authors"), 8)
    assert len(settings.views.strategies) == views.get(path.stem, 2)
    assert len(Recipe(settings.views).strategies) == (
        len(settings.views.strategies) + settings.views.small_views
    )


def test_flagfiles_have_the_pixels_of_the_code_whose_figures_they_quote():
    """Torchvision's for the authors of these; our figures were measured with TensorFlow's."""
    on_torchvision = {
        "moco_v2", "simsiam", "densecl", "swav", "barlow_twins", "dino", "oac_ohms", "oac_coco",
        "supervised", "ma_ssrl_authors", "cifar10_ma_ssrl_authors",
    }  # fmt: skip
    for path in PRETRAIN:
        views = flagfiles.parse([f"--flagfile={path}"], PretrainSettings).views
        assert views.library == ("pillow" if path.stem in on_torchvision else "tensorflow"), path
        bicubic = ("byol", "simclr", "barlow_twins", "dino", "ma_ssrl_authors")
        ours = path.stem.removeprefix("cifar10_").removesuffix("_paper")
        # It has SimCLR's colours and another crop.
        is_bicubic = ours in bicubic and path.stem != "cifar10_byol"
        assert views.interpolation == ("bicubic" if is_bicubic else "bilinear"), path


@pytest.mark.parametrize("path", LINEAR, ids=name)
def test_linear_flagfiles_compose(path):
    settings = flagfiles.parse([f"--flagfile={path}", "--checkpoint=RUN"], LinearSettings)
    assert settings.epochs > 0


@pytest.mark.parametrize("path", FINETUNE, ids=name)
def test_fine_tuning_flagfiles_compose_and_their_reports_stand_beside_each_other(path):
    settings = flagfiles.parse([f"--flagfile={path}", "--checkpoint=RUN"], FineTuneSettings)
    assert settings.share == path.stem.rsplit("_")[-1]
    assert settings.tuning.trials


@pytest.mark.parametrize("path", SEGMENT, ids=name)
def test_segmentation_flagfiles_compose(path):
    settings = flagfiles.parse([f"--flagfile={path}", "--checkpoint=RUN"], SegmentSettings)
    assert settings.training.steps > settings.training.warmup_steps
    of_share = {"segment_scenes": "RUN/segmentation_10pct"}
    assert settings.output == of_share.get(path.stem, "RUN/segmentation")


@pytest.mark.parametrize("path", DETECT, ids=name)
def test_detection_flagfiles_compose(path):
    settings = flagfiles.parse([f"--flagfile={path}", "--checkpoint=RUN"], DetectSettings)
    training = settings.training
    assert training.steps > max(training.drop_steps, default=0) > training.warmup_steps
    assert settings.output == "RUN/detection"
    if "scenes" in path.name:
        return
    # As in Detectron2: 0.02 for 16 images, a tenth behind each drop.
    assert (training.learning_rate, training.batch_size) == (0.02, 16)
    assert (training.momentum, training.weight_decay) == (0.9, 1e-4)
    frozen = training.batch_norm == "frozen"
    assert training.frozen_stages == (1 if frozen else -1)


@pytest.mark.parametrize("path", TRANSFER, ids=name)
def test_transfer_flagfiles_compose_and_the_published_one_holds_the_published_grid(path):
    settings = flagfiles.parse([f"--flagfile={path}", "--checkpoint=RUN"], TransferSettings)
    suite, protocol = re.fullmatch("transfer_(.*?)(_finetune)?", path.stem).groups()
    assert (settings.suite, settings.protocol) == (suite, "finetune" if protocol else "linear")
    if not protocol:
        return
    tuning = settings.tuning
    assert tuning.decay_over_rate and tuning.bn_momentum_rule == "kornblith"
    if settings.suite == "ma_ssrl":
        assert (tuning.steps, tuning.batch_size, len(tuning.trials)) == (20_000, 256, 56)
        np.testing.assert_allclose(tuning.base_learning_rates, np.logspace(-4, -1, 7), rtol=1e-5)
        np.testing.assert_allclose(tuning.weight_decays[1:], np.logspace(-6, -3, 7), rtol=1e-5)
        assert tuning.weight_decays[0] == 0


@pytest.mark.parametrize("path", LOD, ids=name)
def test_discovery_flagfiles_compose_and_the_published_one_holds_the_defaults(path):
    needed = ["--dataset=scenes", "--output=DIR", "--encoder=vgg16"]
    settings = flagfiles.parse([f"--flagfile={path}", *needed], DiscoverSettings)
    differing = fields.result_differences(flagfiles.parse(needed, DiscoverSettings), settings)
    if path.stem == "lod":
        # fewer images of that size a shard; all else as published
        assert set(differing) == {"shard_images"}
    else:
        assert {"max_regions", "neighbours", "pair_top_k", "descriptor_projection"} < set(differing)


@pytest.mark.parametrize("path", SINGLE, ids=name)
def test_flagfiles_of_single_images_compose(path):
    needed = ["--dataset=scenes", "--output=DIR", "--encoder=RUN"]
    settings = flagfiles.parse([f"--flagfile={path}", *needed], DiscoverSettings)
    assert settings.discoverer == settings.scorer == path.stem.split("_")[0]
    assert settings.ranking.largest_area < 1


def test_the_paper_recipe_counts_its_steps_without_the_data(tmp_path):
    path = next(path for path in PRETRAIN if path.name == "ma_ssrl.flags")
    settings = flagfiles.parse([f"--flagfile={path}", f"--data_dir={tmp_path}"], PretrainSettings)
    told = describe(settings)
    assert "187670 of batch 2048 (300 epochs)" in told
    assert "6255 steps" in told
    assert "2.4 at its peak" in told
    # encoder 23,508,032, projector and predictor as BYOL's
    projector = 2048 * 4096 + 3 * 4096 + 4096 * 256
    predictor = 256 * 4096 + 3 * 4096 + 4096 * 256
    assert f"{23_508_032 + projector + predictor:,} learned; encoder 23,508,032" in told


def test_mocos_queue_is_counted(tmp_path):
    path = next(path for path in PRETRAIN if path.name == "moco_v2.flags")

    def told(*flags):
        given = [f"--flagfile={path}", f"--data_dir={tmp_path}", *flags]
        return describe(flagfiles.parse(given, PretrainSettings))

    def checkpoint_mib(*flags):
        # The queue is the same beside a small encoder.
        text = told("--depth=18", "--width=0.25", *flags)
        return int(re.search(r"checkpoint +(\d+) MiB", text)[1])

    assert f"{23_508_032 + 2048 * 2048 + 2048 + 2048 * 128 + 128:,} learned" in told()
    # 16,384 keys of 128 float32 numbers are 8 MiB.
    assert checkpoint_mib() - checkpoint_mib("--queue=49152") == 8
