"""Telegraf configurations."""
