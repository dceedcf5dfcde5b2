"""Whether the installed page completes a picture: page.py PICTURE."""

import json
import sys
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

import pixelrnn


def told(page: AppTest) -> dict[str, Any]:
    """What the editor is told: JSON after its length, before the pictures."""
    for element in page.get("bidi_component"):
        if element.proto.component_name == "pixelrnn_editor":
            data = element.proto.bytes
            return dict(json.loads(data[4 : 4 + int.from_bytes(data[:4], "big")]))
    return {}


picture = Path(sys.argv[1])
sys.argv = ["app.py"]
page = AppTest.from_file(str(Path(pixelrnn.__file__).parent / "app" / "home" / "app.py"), default_timeout=60).run()
page.file_uploader[0].set_value([(picture.name, picture.read_bytes(), "image/jpeg")])
for _ in range(100):  # the editor asks again while something is done
    page.run()
    assert not page.exception, page.exception
    if told(page).get("results"):
        break
assert told(page)["results"], told(page)
assert "torch" not in sys.modules
print(picture, "is completed by the page")
