"""Builds the files of a release; `make dist` runs it. Design note 0034."""
