"""What lies behind the tracking metrics: kinds of errors and what they cost, parts, HOTA, the worst tracks."""
