"""Benchmark of the input: pipelines to compare, a clock that alternates them, tables."""

FLOOR, RECIPE = "floor", "recipe"
# The first epoch decodes every image for the first time.
FIRST = "recipe, in a run's first epoch"
HOST = "host part, --augment_on=device"
OWN_PIPELINES = (FLOOR, RECIPE, FIRST, HOST)
