"""The engine in virtual time: journey tests, and a sample shop's months in a minute."""
