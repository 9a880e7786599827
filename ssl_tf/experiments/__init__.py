"""Studies: arms and seeds from one file, run by the package's own commands, and their table."""
