"""HTTP: webhooks in, public pages, the admin API and the marketers' pages."""
