"""The project's own benchmark: ``make bench``. Load, subscribers and the bus are separate processes on this machine."""
