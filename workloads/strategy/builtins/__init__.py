"""The built-in strategies, one module each; `registry` knows them by name."""
