"""Images in, tracks out, in real time: sources, a pipeline of stages beside each other, and sinks."""
