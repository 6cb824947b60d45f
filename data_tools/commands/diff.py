"""Temporary."""


def add(commands):
    """Nothing yet."""
