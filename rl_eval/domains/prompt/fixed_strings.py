"""Strings that enter hashes, features and fingerprints of this domain. A changed one changes embeddings."""

# What an n-gram is hashed with, by its kind.
WORD, WORD_PAIR, CHARACTERS = "word", "pair", "char"
