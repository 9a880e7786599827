"""Stores of boxes that may hold an object, and their way into a source."""
