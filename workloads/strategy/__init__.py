"""The strategy API, indicators and built-in strategies, the Bot machine that drives them, and its host process."""
