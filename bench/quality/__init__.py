"""Does a mixture help? A small language model is trained on what each strategy chooses (docs/evidence.md)."""
