"""File images: the first load of devices as one database file, made by the replica's own code and kept on a disk."""
