"""The gunicorn worker: connections, requests and responses. Imports nothing of Flask."""
