"""Whether the installed service completes a picture, and ends well: service.py PICTURE."""

import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

PORT = 18950
FORM = b'--a\r\nContent-Disposition: form-data; name="picture"; filename="a"\r\n\r\n%b\r\n--a--\r\n'
body = FORM % Path(sys.argv[1]).read_bytes()
asked = Request(f"http://127.0.0.1:{PORT}/v1/complete", body, {"Content-Type": "multipart/form-data; boundary=a"})
with subprocess.Popen(["pixelrnn", "serve", "--port", str(PORT)], stdout=subprocess.PIPE) as service:
    assert b"http://127.0.0.1" in service.stdout.readline()  # from here on it listens
    with urlopen(asked, timeout=60) as answer:
        assert answer.read(4) == b"\x89PNG"
    service.terminate()
assert service.returncode == 0, service.returncode
print(sys.argv[1], "is completed by the service")
