"""API Gateway and the Lambda Runtime API on localhost, for any function that speaks the latter."""
