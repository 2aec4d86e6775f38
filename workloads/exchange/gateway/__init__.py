"""The Gateway machine: order management, risk gate, wallets and protection of one exchange account. No I/O."""
