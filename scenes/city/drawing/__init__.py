"""How a town looks: meshes and the ground, drawn as a camera sees them."""
