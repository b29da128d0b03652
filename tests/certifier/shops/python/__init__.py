"""What the small shops in Python share: their books, their way to the gateway, their doors."""
