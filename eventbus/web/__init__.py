"""The HTTP interface: thin routes that parse, call the bus, and phrase the answer."""
