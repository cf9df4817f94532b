"""The gunicorn worker: connections, requests in, responses out. Imports nothing of Flask."""
