"""Runs: one training each, in a folder that says how it came about."""
