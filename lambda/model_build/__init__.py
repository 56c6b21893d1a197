"""Hugging Face → GGUF → 4 bits, verified. Runs where an image is built; never ships."""
