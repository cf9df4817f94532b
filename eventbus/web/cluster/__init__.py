"""Requests that another node, or all nodes, have to answer."""
