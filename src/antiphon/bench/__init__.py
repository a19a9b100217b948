"""A load generator for any Realtime server: many callers, and how long each of them waited."""
