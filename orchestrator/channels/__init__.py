"""Ways to hand messages over: one folder per channel, one file per provider."""
