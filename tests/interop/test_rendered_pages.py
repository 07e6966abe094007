"""The page that ``isocenter render`` makes, in a browser: its script runs, nobody else's does."""

import re
import shutil
import subprocess
from html import escape
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from programs import Command

# Shows the page in a frame of its own, presses the button, and tells what is there after 280 ms.
PROBE = """<iframe srcdoc="{}"></iframe>
<script>
onload = () => {{
  const page = frames[0];
  page.document.querySelector("button").click();
  setTimeout(() => {{
    const told = page.document.querySelector("output").textContent;
    document.title = `${{told}}, ${{page.stolen ? "script" : "no script"}}`;
  }}, 280);
}};
</script>
"""


def test_chromium_plays_the_frames_and_runs_no_script_of_the_data_set(
    isocenter: Command, tmp_path: Path
) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    image = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    image.NumberOfFrames, image.FrameTime = 10, 50
    image.PatientName = "</p><script>stolen = 1</script>"
    image.PixelData = np.zeros((10, 128, 128), np.int16).tobytes()
    image.save_as(tmp_path / "cine.dcm")
    isocenter("render", tmp_path / "cine.dcm", tmp_path / "cine.html")
    probe = tmp_path / "probe.html"
    probe.write_text(PROBE.format(escape((tmp_path / "cine.html").read_text())))

    options = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000")
    done = subprocess.run(
        [chromium, *options, "--dump-dom", probe.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    # 280 ms after the first: the sixth frame is shown, or the seventh.
    assert re.search(r"<title>Frame [67] of 10, no script</title>", done.stdout)
