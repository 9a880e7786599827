"""Image sources, the order of their examples, and the batches made of them."""
