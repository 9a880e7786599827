"""How long the input takes: contenders, a clock that alternates them, tables."""

FLOOR, RECIPE = "floor", "recipe"
# While every image is decoded for the first time.
FIRST = "recipe, in a run's first epoch"
HOST = "host part, --augment_on=device"
OWN = (FLOOR, RECIPE, FIRST, HOST)
