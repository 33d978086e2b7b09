"""The recordings of the reference project and what makes a catalogue of them."""
