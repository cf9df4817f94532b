"""What the tests are made of: a real bus, real subscribers, a raw wire, a publisher, and a way to wait."""
