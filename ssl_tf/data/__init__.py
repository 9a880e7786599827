"""Where records come from, in which order, and how encoded images become batches."""
