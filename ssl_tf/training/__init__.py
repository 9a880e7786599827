"""Training of any model: optimizers, schedules, devices, checkpoints, the fit loop."""
