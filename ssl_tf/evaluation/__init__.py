"""Evaluation of an encoder: linear probe, kNN, fine-tuning, transfer, comparison of runs."""
