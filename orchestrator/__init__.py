"""An omnichannel retention messaging orchestrator."""

__version__ = "0.1.0"
