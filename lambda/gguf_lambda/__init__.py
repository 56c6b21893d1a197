"""An open language model in a Lambda function: what runs in the function and ships in its image."""
