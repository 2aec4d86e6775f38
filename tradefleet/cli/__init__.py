"""The tradefleet command: the top layer, which may import everything and is imported by nothing."""
