"""GPU agents: caps of a pool become power limits of GPUs, in the node's own driver or through its management controller."""
