"""Base models: finding and opening them, seeing how they are built, saving what was trained."""
