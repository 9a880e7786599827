"""Every shipped flagfile parses, composes and says in its first lines how to use it."""

import re
from pathlib import Path

import pytest

from ssl_tf import flagfiles
from ssl_tf.dry_run import describe
from ssl_tf.settings import LinearSettings, PretrainSettings
from ssl_tf.training.plan import make_plan
from ssl_tf.views.recipe import Recipe

CONFIGS = sorted(Path(__file__).parents[1].joinpath("configs").glob("*.flags"))
PRETRAIN = [path for path in CONFIGS if not path.name.startswith("linear")]
LINEAR = [path for path in CONFIGS if path.name.startswith("linear")]


def name(path):
    return path.name


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_first_lines_give_the_command_and_the_result(path):
    comments = [line for line in path.read_text().splitlines()[:6] if line.startswith("#")]
    module = "ssl_tf.linear" if path in LINEAR else "ssl_tf.pretrain"
    assert any(f"python -m {module} --flagfile=configs/{path.name}" in line for line in comments)
    assert any("top-1" in line or "mAP" in line for line in comments)


@pytest.mark.parametrize("path", PRETRAIN, ids=name)
def test_pretraining_flagfiles_compose(path):
    settings = flagfiles.parse([f"--flagfile={path}"], PretrainSettings)
    plan = make_plan(settings.optimization, settings.data.num_images or settings.data.scenes)
    assert 0 <= plan.warmup_steps < plan.total_steps
    assert len(Recipe(settings.views).strategies) == 2


@pytest.mark.parametrize("path", LINEAR, ids=name)
def test_linear_flagfiles_compose(path):
    settings = flagfiles.parse([f"--flagfile={path}", "--checkpoint=RUN"], LinearSettings)
    assert settings.epochs > 0


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

    def checkpoint_mib(*flags):
        settings = flagfiles.parse(
            [f"--flagfile={path}", f"--data_dir={tmp_path}", *flags], PretrainSettings
        )
        told = describe(settings)
        assert f"{23_508_032 + 2048 * 2048 + 2048 + 2048 * 128 + 128:,} learned" in told
        return int(re.search(r"checkpoint +(\d+) MiB", told)[1])

    # 16,384 keys of 128 float32 numbers are 8 MiB.
    assert checkpoint_mib() - checkpoint_mib("--queue=49152") == 8
