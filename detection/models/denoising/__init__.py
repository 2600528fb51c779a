"""Denoising queries: noised annotations that training adds to the queries."""

from detection.models.denoising.ray import RayDenoising
from detection.models.denoising.standard import StandardDenoising

__all__ = ["RayDenoising", "StandardDenoising"]
