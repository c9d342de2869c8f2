"""What a Python user would write instead: the same mail, one task or one job per person."""
