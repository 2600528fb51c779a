"""Assignment of predictions to annotations."""
