"""Statistics: intervals, tests, rank correlation, and when to stop."""
