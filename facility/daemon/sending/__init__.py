"""What is decided becomes messages: in the order that is safe whatever gets lost, past the last look at each of them."""
