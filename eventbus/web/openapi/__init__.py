"""The HTTP interface as an OpenAPI 3.1 document, and what its page shows of it."""
