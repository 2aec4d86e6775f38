"""Types and rules of trading: instruments, exact money, orders, fills, bars, the ledger and the errors.

Standard library only, and no clock, randomness or I/O: everything else stands on this package, and replays rest on it.
"""
