"""What a town is made of: streets, lanes, kerbs, sidewalks, traffic lights, and how high the ground lies."""
