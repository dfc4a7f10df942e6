"""Choosing: what a plan settles before all else - when GPUs leave, how warm plants supply, in which pool a job runs."""
