"""Weights of encoders in the files of others, by the names of torch."""
