"""What is written down: cycles, what was sent and why, who changed what."""
