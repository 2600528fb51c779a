"""What the sensors of the ego vehicle see of a town."""
