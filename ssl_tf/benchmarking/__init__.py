"""How long the input takes: contenders, a clock that alternates them, tables."""
