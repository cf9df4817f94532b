"""What needs no I/O: values, rules and errors."""
