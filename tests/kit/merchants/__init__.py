"""Sample merchants, as a shop would write them: type-checked strictly, and run by the tests."""
