"""Networks: what they are, every way in, and how they are run; preprocessing belongs to the network."""
