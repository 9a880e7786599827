"""What a representation is worth: numbers from an encoder's features."""
