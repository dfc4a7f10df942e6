"""Grid: the connection, its prices and its products, and what is not certain of them."""
