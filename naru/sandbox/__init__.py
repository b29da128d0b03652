"""The sandbox PG: another company, with its own application, ledger and windows."""
