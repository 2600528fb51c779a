"""Denoising queries: noised annotations that training adds to the queries."""

from detection.models.denoising.standard import StandardDenoising

__all__ = ["StandardDenoising"]
