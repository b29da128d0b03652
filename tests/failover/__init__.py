"""A PostgreSQL of three machines, built as docs/how-to/high-availability.md says, and killed under load.

It needs root, Debian's packages and minutes, so it is no part of `make test`: `python -m
tests.failover`, or tests/failover/test_failover.py by night.
"""
