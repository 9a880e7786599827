"""The shipped flagfiles for several GPUs train on several replicas, with all that they ask for.

What they ask for together, as statistics, heads and tasks, stands in no other test.
"""

import math
from pathlib import Path

import pytest
import tensorflow as tf

from ssl_tf.networks import resnet
from ssl_tf.pretraining.compiling import build_compiled
from ssl_tf.settings import METHODS, PretrainSettings, flagfiles
from ssl_tf.training.plan import make_plan
from ssl_tf.training.strategy import mirrored_strategy
from tests.methods.small_methods import BATCH, CLASSES, SIZE, object_batch, sized_views
from tests.two_blocks import TWO_BLOCKS

CONFIGS = Path(__file__).parents[2] / "configs"
# Flagfiles of what tests/methods/test_replicas.py trains, and of more than that.
COMPARED = ("barlow_twins", "byol", "ma_ssrl", "simclr", "simsiam")
NAMES = (
    "densecl", "dino", "ma_ssrl_authors", "moco_v2", "oac_coco", "oac_ohms", "supervised", "swav",
)  # fmt: skip
SMALL = (
    f"--image_size={SIZE} --depth=18 --width=0.0625 --stem=small --batch_size={BATCH} "
    "--num_classes=0"
).split()
SIZES = {
    "projector_hidden": 16, "projection": 8, "queue": 16, "prototypes": 12, "feature_queue": 16,
    "small_image_size": SIZE // 2,
}  # fmt: skip


def test_all_that_are_not_tuned_for_a_cpu_are_here():
    data = {
        path.stem: flagfiles.given([f"--flagfile={path}"], PretrainSettings)["dataset"]
        for path in CONFIGS.glob("*.flags")
        if "python -m ssl_tf.pretrain" in path.read_text()
    }
    assert {name for name, x in data.items() if x not in ("cifar10", "scenes")} == {
        *COMPARED,
        *NAMES,
    }


@pytest.mark.parametrize("name", NAMES)
def test_two_replicas_take_two_steps(name, monkeypatch):
    monkeypatch.setitem(resnet.DEPTHS, 18, TWO_BLOCKS)
    flagfile = f"--flagfile={CONFIGS}/{name}.flags"
    own = flagfiles.given([flagfile], PretrainSettings)
    read = {*own, *METHODS[own["method"]].flag_names}
    sizes = [f"--{flag}={size}" for flag, size in SIZES.items() if flag in read]
    settings = flagfiles.parse([flagfile, *SMALL, *sizes], PretrainSettings)
    strategy = mirrored_strategy(["CPU:0", "CPU:1"])
    plan = make_plan(settings.optimization, 8 * BATCH)
    method = build_compiled(settings, strategy, plan, CLASSES)
    views = settings.views
    sides = [SIZE] * len(views.strategies) + [SIZE // 2] * views.small_views
    labels = tf.range(BATCH, dtype=tf.int64) % CLASSES
    batch = {**object_batch(), "views": sized_views(sides), "label": labels}
    batches = tf.data.Dataset.from_tensors(batch).repeat(2)
    history = method.fit(batches, epochs=1, steps_per_epoch=2, verbose=0)
    assert math.isfinite(history.history["loss"][0])
    assert method.optimizer.iterations.numpy() == 2
