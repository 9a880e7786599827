"""What trainings on annotated images share, whatever they learn: encoders, training, resumption."""
