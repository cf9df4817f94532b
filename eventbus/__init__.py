"""An HTTP event bus: services register, anyone publishes, every live subscriber receives."""

__version__ = "0.1.0"
