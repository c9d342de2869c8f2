"""The shop that is measured: its events, signed, and a client that posts them."""
