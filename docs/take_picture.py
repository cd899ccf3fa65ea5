"""Take the picture of README: bring up the simulated G1, wait until it reaches, and photograph the browser view.

Run from the environment of ``make test`` with Debian's chromium installed: ``python docs/take_picture.py``.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

PORT = 8097
PICTURE = Path(__file__).parent / "images" / "view.png"
FLAGS = ("no-sandbox", "use-gl=angle", "use-angle=swiftshader", "enable-unsafe-swiftshader", "ignore-gpu-blocklist")


def wait_for_page(address: str, seconds: float) -> None:
    """Wait until the view answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(address, timeout=1.0).close()
            return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                sys.exit(f"no view at {address} within {seconds:g} s")
            time.sleep(0.2)


def main() -> None:
    """Bring up, look, photograph, end."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("no chromium; apt-get install chromium")
    arguments = [f"port:={PORT}", "autostart:=true", *sys.argv[1:]]
    graph = subprocess.Popen([Path(sys.executable).with_name("neon"), "up", *arguments])
    try:
        wait_for_page(f"http://127.0.0.1:{PORT}", 60.0)
        with sync_playwright() as engine:
            browser = engine.chromium.launch(executable_path=chromium, args=[f"--{flag}" for flag in FLAGS])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(f"http://127.0.0.1:{PORT}")
            page.get_by_text("ACTIVE: the policy moves the robot").first.wait_for(timeout=60_000)
            page.wait_for_timeout(30_000)  # the view fades in, slowly where a CPU draws it
            page.screenshot(path=str(PICTURE), timeout=60_000)
            browser.close()
    finally:
        graph.send_signal(signal.SIGINT)
        graph.wait(30)
    print(PICTURE)


if __name__ == "__main__":
    main()
