"""The journal computed again: what was decided and sent must follow from what was known, to the same bytes."""
