"""Verbs: one thing that can happen to a payment per file.

Every door calls these. A verb writes its intention down, commits, calls out with no transaction
open, and writes the outcome down (RELIABILITY 6.1).
"""
