"""Sensors of the reference project: what asks for tracks from outside."""
