"""What detection and segmentation share: encoders to start from, the training, the report."""
