"""An executable model of V1, and a machine that drives the real gateway beside it."""
