"""Detection and instance segmentation: detectors of Model Garden on our encoders, trained here."""
