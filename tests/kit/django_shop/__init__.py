"""A Django shop."""
