"""Reports: a plan as files and as words."""
