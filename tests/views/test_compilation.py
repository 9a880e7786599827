"""Compiled functions: what they tell on the error output, which is nothing."""

import os
import subprocess
import sys

PROGRAM = """
import os
from ssl_tf.command import import_quietly
import_quietly()
import tensorflow as tf
from ssl_tf.views.compilation import compiled

def doubled(image):
    return 2 * image

fast = compiled(doubled)
images = tf.data.Dataset.from_tensors(tf.constant([3.0])).map(fast)
print(fast(tf.constant([4.0])).numpy()[0], next(iter(images)).numpy()[0])
os.write(2, b"seen")
"""


def test_the_first_use_of_xla_is_not_announced_and_later_errors_are_seen():
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == "8.0 6.0\n", done.stderr
    assert "XLA" not in done.stderr and "InitializeLog" not in done.stderr
    assert done.stderr.endswith("seen")
