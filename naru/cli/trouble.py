"""What a command says when it cannot do what was asked."""


class CliError(Exception):
    """The text is one sentence for a person that says what to do."""
