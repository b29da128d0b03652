"""docs/guide: its shop is typed off the pages, started, paid at, robbed; every block of every page has somebody who executes it."""
