"""Queries over neurons: reading activations, stored ones, top lists, calibration."""
