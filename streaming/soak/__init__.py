"""An hour of the city with faults injected: what the pipeline says of them, what it keeps, and what memory it takes."""
