"""The repository's own rules: its architecture and its locks."""
