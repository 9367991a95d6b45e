"""What can still be read of a damaged device file, and the new file that is made of it (`spec/storage.md`)."""
