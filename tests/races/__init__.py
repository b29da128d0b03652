"""Races: sixty-four at once, through two gateways over one database; each beside its control."""
