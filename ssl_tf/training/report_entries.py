"""Entries of reports that evaluations and downstream trainings write alike."""

# What tells the train and test images from others of their names.
CONTENTS = "contents"
# The number of images that could not be decoded and are in none of the figures.
UNREADABLE = "unreadable_images"
# The number of test images that the run has learned from, or words where it cannot be told.
LEARNED_FROM = "test_images_learned_from"
