"""Attachments of pages."""
