"""Attackers, each with the run that must fail."""
