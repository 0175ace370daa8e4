"""Makes docs/images/demo.png, with a running page of --mode=demo.

python -m tests.helpers.screenshots --address=http://127.0.0.1:7860
"""

import argparse
import base64
import io
import time

from PIL import Image

from tests.conftest import ROOT
from tests.helpers import browser

_WIDTH, _HEIGHT = 1100, 1460


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", default="http://127.0.0.1:7860")
    address = parser.parse_args().address
    with browser.running() as driver:
        browser.show_as(driver, _WIDTH)
        driver.get(address)
        time.sleep(10)  # Until the first swap is there, and its video plays.
        clip = {"x": 0, "y": 0, "width": _WIDTH, "height": _HEIGHT, "scale": 1}
        options = {"captureBeyondViewport": True, "clip": clip}
        answer = driver.execute_cdp_cmd("Page.captureScreenshot", options)
    picture = Image.open(io.BytesIO(base64.b64decode(answer["data"]))).convert("RGB")
    # A palette makes it a third as large, and nobody sees it.
    picture.quantize(128).save(ROOT / "docs" / "images" / "demo.png", optimize=True)


if __name__ == "__main__":
    main()
