"""Others on the bus and beside it: the broker's echo, another daemon, exporters, NVIDIA DSX Exchange."""
