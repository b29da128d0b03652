"""What is told to the merchant's server afterwards: i'mport's webhooks."""
