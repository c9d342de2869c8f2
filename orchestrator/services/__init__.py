"""Use cases: each owns its transactions and calls nothing but the domain and the ports."""
