"""What holds without a plan, pure: what operators command, what goes on, what falls back, what nobody measures."""
