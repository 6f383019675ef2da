"""Demo of memroll: a real cluster, five services under load, and six minutes of observation."""
