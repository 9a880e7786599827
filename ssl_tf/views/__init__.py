"""Views: crops, image operations, augmentation policies and the recipes that compose them."""
