"""Files from elsewhere: where they are, how to get them, how to take from them what is needed."""
