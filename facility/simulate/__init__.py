"""A plant to rehearse on: a nonlinear, noisy site that publishes its meters and obeys caps, holds and set-points."""
