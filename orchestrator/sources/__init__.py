"""Senders of events: one file per checkout system, each verifying and reading its own way."""
