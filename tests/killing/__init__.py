"""Killing: complete payments while every process of the house, the PG and the database is killed.

`house.py` runs the processes and starts them again, `load.py` buys, `storm.py` kills, `audit.py`
compares three books afterwards: ours, the sandbox PG's own, and what everybody was told.
`plants.py` puts defects into a copied tree: an audit that finds nothing there proves nothing.
"""
