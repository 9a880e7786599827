"""Entries of reports that evaluations and downstream trainings write alike."""

# What tells the train and test images from others of their names.
CONTENTS = "contents"
# What tells the files and annotations of the train and test images from others.
ANNOTATIONS = "annotations"
# The number of images, to learn from and to report on, that could not be decoded and are left out.
UNREADABLE = "unreadable_images"
# The number of test images that the run has learned from, or words where it cannot be told.
LEARNED_FROM = "test_images_learned_from"
