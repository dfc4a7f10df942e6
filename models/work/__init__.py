"""Work: GPUs, what runs on them, and what was promised."""
