"""A gateway of one's own for a test: PostgreSQL, gateway, worker and sandbox PG, up in seconds.

`private_gateway.PrivateGateway` starts it, `imp.Imp` is one merchant of it and all that a test may
want to do; the pytest plugin (`plugin`) hands an `Imp` to each test as the fixture `imp`. Nothing is
imported here: the plugin is loaded by every run of pytest, also by those that pay nothing.
"""
