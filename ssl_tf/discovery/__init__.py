"""Object discovery without labels: LOD (Vo et al. 2021) from any encoder with feature maps."""
