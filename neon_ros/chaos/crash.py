"""``python -m neon_ros.chaos.crash``: a process that says that it lives, and crashes."""

print("alive", flush=True)
raise SystemExit(1)
