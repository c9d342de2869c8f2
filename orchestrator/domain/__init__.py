"""What the product knows and decides: pure functions and values, standard library only."""
