"""The composition root: settings in, a whole application out. Nothing else builds things.

In three parts, so that a verb of the command line loads only what it needs.
"""
