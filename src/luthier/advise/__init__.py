"""What a training will take, before it begins: memory, time and disk."""
