"""Object discovery without labels from feature maps: LOD, normalized cut, LOST and contrast."""
