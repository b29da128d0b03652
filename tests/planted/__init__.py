"""Planted bugs: the house with one line made wrong, again and again; a test must fail every time."""
