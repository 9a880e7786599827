"""Features of a whole collection of images: as a table, in pictures, in a report."""
