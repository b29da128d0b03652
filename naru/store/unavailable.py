"""The one error of the store that doors answer with "later"."""

from naru.domain.errors import NaruError


class StoreUnavailable(NaruError):
    """The database cannot be reached, went away, or stayed busy too long.

    What it had not confirmed must be read again: the last COMMIT may or may not have happened.
    """
