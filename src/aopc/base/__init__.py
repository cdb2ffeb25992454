"""What every room stands on: errors, names, random values, files and where results are from."""
