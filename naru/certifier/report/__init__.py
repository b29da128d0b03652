"""What a run found, told: on the screen, as a page, for CI, for code scanning, as a badge.

Each file has one pure function, `text(run)`; screen.py and html.py also show what changed since the
last run (compare.py). All quote strangers, so all go through clean.py first.
"""
