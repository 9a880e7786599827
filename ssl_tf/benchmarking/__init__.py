"""How long the input takes: contenders, a clock that alternates them, tables."""

FLOOR, RECIPE, HOST = "floor", "recipe", "host part, --augment_on=device"
