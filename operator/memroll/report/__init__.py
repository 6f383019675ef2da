"""The leak ledger as a table, as JSON and as one page: values in, text out."""
