"""The former name of the command `python -m ssl_tf.openimages`."""

import runpy

runpy.run_module("ssl_tf.openimages", run_name="__main__")
