"""Market data into the fleet: replay of history, gap detection, the recorder, and seeded synthetic candles."""
