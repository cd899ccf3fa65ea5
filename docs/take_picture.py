"""Photograph the browser view of the simulated G1 while it reaches: for README at 1280x800, and on a phone.

Run from the environment of ``make test`` with Debian's chromium installed: ``python docs/take_picture.py [FOLDER]``.
Beside each picture in FOLDER lies the same as eyes without green cones see it, to check that nothing is told by colour
alone; without FOLDER the two pictures of ``docs/images`` are made anew.
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
from typing import Any

from playwright.sync_api import sync_playwright

PORT = 8097
IMAGES = Path(__file__).parent / "images"
SIZES = {"view": (1280, 800), "view_phone": (390, 844)}
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


def photograph(engine: Any, chromium: str, name: str, folder: Path, colour_blind: bool) -> None:
    """Open the view at one size, let the robot reach for something, and take its picture."""
    width, height = SIZES[name]
    browser = engine.chromium.launch(executable_path=chromium, args=[f"--{flag}" for flag in FLAGS])
    page = browser.new_page(viewport={"width": width, "height": height}, has_touch=width < 500, is_mobile=width < 500)
    page.set_default_timeout(120_000)
    page.goto(f"http://127.0.0.1:{PORT}")
    page.get_by_text("ACTIVE: the policy moves the robot").first.wait_for()
    page.get_by_text("Software WebGL").first.wait_for()  # viser's note to who has no GPU; the scene is there now
    page.keyboard.press("Tab")
    page.wait_for_timeout(25_000)  # the view fades in, slowly where a CPU draws it
    page.screenshot(path=str(folder / f"{name}.png"), timeout=120_000)
    if colour_blind:
        page.context.new_cdp_session(page).send("Emulation.setEmulatedVisionDeficiency", {"type": "deuteranopia"})
        page.screenshot(path=str(folder / f"{name}_deuteranopia.png"), timeout=120_000)
    browser.close()


def main() -> None:
    """Bring up, look, photograph, end."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("no chromium; apt-get install chromium")
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [f"port:={PORT}", "autostart:=true"]
    graph = subprocess.Popen([sys.executable, "-c", "from neon_ros.cli import main; main()", "up", *arguments])
    try:
        wait_for_page(f"http://127.0.0.1:{PORT}", 60.0)
        with sync_playwright() as engine:
            for name in SIZES:
                photograph(engine, chromium, name, folder, folder != IMAGES)
                print(folder / f"{name}.png")
    finally:
        graph.send_signal(signal.SIGINT)
        graph.wait(30)


if __name__ == "__main__":
    main()
