"""What a corpus of a billion rows takes on so many nodes, by the product's own units and shares."""
