"""The order path: the gateway with risk gate, wallets and ledger, and the venue, our exchange simulator."""
