"""Tables that grow with sweeps and boxes: where the rows of wanted scenes lie, and scenes that were read before."""
