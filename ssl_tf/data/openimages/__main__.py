"""The command's earlier name: hands over to `python -m ssl_tf.openimages`."""

import runpy

runpy.run_module("ssl_tf.openimages", run_name="__main__")
