"""What people must know: alarms, one for each cause, and the plan that is followed."""
