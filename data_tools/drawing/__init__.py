"""Draws one chest film: anatomy, what disease does to it, and the exposure."""
