"""Images from folders, TFRecord files and TFDS data sets."""
