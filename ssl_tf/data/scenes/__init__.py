"""Built-in images, rendered from a seed, with labels and boxes."""
