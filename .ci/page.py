"""Whether the installed page completes a picture: page.py PICTURE"""

import sys
from pathlib import Path

from streamlit.testing.v1 import AppTest

import pixelrnn

picture = Path(sys.argv[1])
sys.argv = ["app.py"]
page = AppTest.from_file(str(Path(pixelrnn.__file__).parent / "app" / "home" / "app.py"), default_timeout=60).run()
page.file_uploader[0].set_value([(picture.name, picture.read_bytes(), "image/jpeg")])
page.run()
said = " ".join(part.value for part in page.markdown)
assert not page.exception, page.exception
assert "completed in" in said, said
assert "torch" not in sys.modules
print(picture, "is completed by the page")
