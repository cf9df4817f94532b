"""Copying a journal into another one."""
