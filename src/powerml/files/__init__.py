"""Files and folders of the user's: read, named and written whole."""
