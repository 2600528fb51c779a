"""Denoising queries: noised annotations that training adds to the queries."""
