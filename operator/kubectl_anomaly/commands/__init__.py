"""The commands, a module each: `arguments` adds what the command takes, `run` returns the exit status."""
