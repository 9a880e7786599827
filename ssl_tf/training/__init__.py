"""How any method is trained: optimizers, schedules, devices, the loop."""
