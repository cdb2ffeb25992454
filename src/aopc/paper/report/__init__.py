"""The page that shows a profile's results: what came out, what it depends on, and where it is from."""
