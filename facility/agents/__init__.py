"""Agents: what makes orders come true, each a small process of its own beside what it drives. They know the bus, and nothing of the plan."""
