"""The rules of docs/rules.md as code: one small function each, over finished messages."""
