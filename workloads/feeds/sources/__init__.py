"""Sources of candles: files, the user's own database, our own, and the seeded generator."""
