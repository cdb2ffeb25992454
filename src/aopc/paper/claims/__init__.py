"""The paper's claims C1 to C11: what is measured, the rule that decides, and the verdicts."""
