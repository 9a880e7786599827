"""Images with objects (boxes, classes, masks) or with label maps, read by format."""
