"""The daemon: read, decide, verify, act, record. `loop` is the cycle; every other room does one part of it."""
