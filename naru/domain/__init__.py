"""The ground floor: what a payment is. Pure; imports the standard library only."""
