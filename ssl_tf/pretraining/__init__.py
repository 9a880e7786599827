"""The pre-training stage: its inputs, its monitors, its start and its run."""
