"""Who is in a town and what they do: traffic, people, and what stands still beside the lanes."""
