"""The demo shop: another company, built on the merchant kit and plain HTTP alone."""
