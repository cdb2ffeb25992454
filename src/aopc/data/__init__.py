"""Images: data sets and folders, where they come from, and how they are downloaded."""
