"""The demo: a real cluster, five services, memroll, and six minutes to watch."""
