"""A ResNet-18 of two blocks: eight would only take four times as long to trace.

As a script, `two_blocks.py ssl_tf.COMMAND FLAGS` runs a command on it in a process of its own.
"""

import runpy
import sys

from ssl_tf.networks import resnet

TWO_BLOCKS = ((1, 0, 0, 1), False)

if __name__ == "__main__":
    resnet.DEPTHS[18] = TWO_BLOCKS
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
