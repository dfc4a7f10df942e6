"""Page: parts under headings as one HTML file that holds everything it shows and asks nothing of the network."""
