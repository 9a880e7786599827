"""Self-supervised pre-training in TensorFlow: MA-SSRL, BYOL and what they stand on."""
