"""What all first-order rules share: parameters in groups, their state, a step in one call."""
