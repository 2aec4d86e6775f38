"""The exchange simulator's machine: accounts, bar fills, a FIFO order book, numbered requests and reports, a journal.

What it does not model yet: latency, queue position in a replayed market, margin, auctions, icebergs.
"""
