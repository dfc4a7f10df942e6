"""Model: what the bus has told, and what follows from it for who looks. Fed by messages, with a clock handed in; it draws nothing."""
