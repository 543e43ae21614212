"""What a spec says: its grammar, its tree, and the way back to text."""
