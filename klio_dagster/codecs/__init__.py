"""The bytes of a value: dump, load, hash. Never a store; imports audio and core."""
