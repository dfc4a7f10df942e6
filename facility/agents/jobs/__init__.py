"""What agents of schedulers have in common: orders that hold, what people say of a job, and what the bus is told of it."""
