"""The pre-training stage: everything wired together."""
