"""Ears and mouth: voice activity, words, the word *stop*, and a voice."""
