"""Heat: halls, and what removes it from them."""
