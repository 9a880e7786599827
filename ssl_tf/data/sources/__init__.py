"""Images from folders, TFRecord files, TFDS data sets and prepared directories."""
