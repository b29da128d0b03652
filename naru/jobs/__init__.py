"""The door of the clock: what runs because its time has come."""
