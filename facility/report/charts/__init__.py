"""Charts: panels made of arrays, each for one question, and which of them a plan has something for."""
