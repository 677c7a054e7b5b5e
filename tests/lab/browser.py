# SPDX-License-Identifier: Apache-2.0
"""A real Chromium in a namespace of the lab, driven by chromedriver."""
import contextlib
import ctypes
import os

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CLONE_NEWNET = 0x40000000
START_S = 60


@contextlib.contextmanager
def inside(namespace):
    """This thread, and what it starts, is in the namespace's network meanwhile."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(path):
        fd = os.open(path, os.O_RDONLY)
        try:
            if libc.setns(fd, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns {path}")
        finally:
            os.close(fd)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        enter(f"/run/netns/{namespace}")
        yield
    finally:
        enter(f"/proc/self/fd/{home}")
        os.close(home)


@contextlib.contextmanager
def browser(namespace, directory):
    """A headless Chromium; what its console says is kept (`console`)."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update", "--force-device-scale-factor=1",
                     f"--user-data-dir={directory}/chromium"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with inside(namespace):
        driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver", log_path=f"{directory}/chromedriver.log"))
        try:
            driver.set_page_load_timeout(START_S)
            yield driver
        finally:
            driver.quit()


def console(driver):
    """What the console has said since it was last asked."""
    return [entry["message"] for entry in driver.get_log("browser")]


def view(driver, width, height, scheme="light", scale=1):
    """Makes the page so many CSS pixels wide and high, in a light or dark scheme."""
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                           {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
