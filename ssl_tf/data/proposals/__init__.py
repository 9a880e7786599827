"""Stores of object proposals: their format, their import, and their join with a source."""
