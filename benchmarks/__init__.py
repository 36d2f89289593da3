"""Ratios against other recipes."""
