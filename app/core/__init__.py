"""Core: values in, values out. No I/O, no clock, no randomness, no logging; every other room may import it."""
