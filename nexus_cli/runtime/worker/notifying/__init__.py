"""Notifications: whom an alarm reaches, and how."""
