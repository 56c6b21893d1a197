"""The contenders that have no server: programs that answer questions line by line."""
