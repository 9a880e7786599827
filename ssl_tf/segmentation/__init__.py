"""Semantic segmentation: a network that gives each pixel a class, its training and its test."""
