"""One module an alternative: each turns the bytes of log lines into a table, on one thread."""
