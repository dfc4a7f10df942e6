"""The daemon as a process: its threads, its signals, who watches over it, and who takes over when it dies."""
