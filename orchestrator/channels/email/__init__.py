"""Ways to hand over mail."""
