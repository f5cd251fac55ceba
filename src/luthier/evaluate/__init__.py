"""How good a model is, how sure that is, why, and what a person should read about it."""
