"""Turns templates and facts into messages: mail, text messages, links and MIME."""
