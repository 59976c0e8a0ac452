"""Does a mixture help? A small language model trains on what each strategy chooses."""
