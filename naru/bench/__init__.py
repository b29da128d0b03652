"""An outsider with a stopwatch: complete payments, beside two limits measured in the same run.

Knows the wire and the kit, nothing of the house. `python -m naru.bench --help`.
"""
