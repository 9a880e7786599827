"""Benchmark of the input: pipelines to compare, a clock that alternates them, tables."""

FLOOR, RECIPE = "floor", "recipe"
# The first epoch decodes every image for the first time.
FIRST = "recipe, in a run's first epoch"
HOST = "host part, --augment_on=device"
# The same of images that were prepared; the name of their directory follows.
HOST_OF = "host part"
# From the files to pixels, without views.
READING = "read and decode"
# The pipelines of ssl_tf, unlike those of other libraries.
OWN = (FLOOR, RECIPE, FIRST, HOST)
