"""Infinity: differentiable models of physical systems that are solved rather than trained."""
