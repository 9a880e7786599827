"""A study of two arms and two seeds on tiny images, and `study` on a ResNet-18 of two blocks.

As a script it is `python -m ssl_tf.study`, whose stages run on that network, too.
"""

import runpy
import sys
from pathlib import Path

# As a script it finds the tests from any directory, and before a package of that name.
sys.path.insert(0, str(Path(__file__).parents[2]))

from ssl_tf.experiments import runner  # noqa: E402
from tests import two_blocks  # noqa: E402

STUDY = '''
title = "Two small arms"
seeds = [0, 1]
reference = "plain"
stages = ["pretrain"]

[flags]
pretrain = """
    --dataset=scenes --scenes=48 --scene_size=16 --image_size=16 --depth=18 --width=0.0625
    --projector_hidden=16 --projection=8 --batch_size=16 --epochs=4 --warmup_epochs=1
    --optimizer=sgd --monitor_bank=32 --monitor_queries=12 --monitor_every=4 --log_every=1
    --checkpoint_every=0.67
"""

[arms.plain]
pretrain = "--method=simsiam --recipe=moco --view_strategies=plain,plain"

[arms.coloured]
pretrain = "--method=simsiam --recipe=moco --view_strategies=plain,moco"
'''

if __name__ == "__main__":
    runner.LAUNCH = (sys.executable, two_blocks.__file__)
    sys.argv[0] = "ssl_tf.study"
    runpy.run_module("ssl_tf.study", run_name="__main__", alter_sys=True)
