"""The command line: reads argv and the settings, and calls the rooms below."""
