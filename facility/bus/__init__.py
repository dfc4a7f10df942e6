"""The bus: messages by topic, whatever carries them. `topics` and `messages` are its whole vocabulary."""
