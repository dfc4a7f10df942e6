"""The journal: what must survive a crash, and the file it lies in."""
