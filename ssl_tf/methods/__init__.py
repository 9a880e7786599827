"""What is learned: losses and the networks that they move."""
