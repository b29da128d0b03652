"""The certifier: gateway, buyer and thief at once, against one shop; judged by the shop's own orders.

`naru certify URL --adapter shop.toml`. An *attack* is a short program of *steps* (steps.py) that is
performed on a *stage* (stage.py): a private gateway, the buyer, the thief, and the shop as it
runs. What came of it is judged by *rules* (judge.py) that hold for every attack alike. It shares only
HTTP with the shop, and with the house nothing but `naru.testing` and the kit (decision 0020).
"""
