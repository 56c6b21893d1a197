"""The demo model: our own questions and answers, tokenizer and training."""
