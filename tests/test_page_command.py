"""`pixelrnn app` as a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from running import heed_ctrl_c


def answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_command_ends_the_server_that_it_started(number: signal.Signals) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"STREAMLIT_SERVER_HEADLESS": "true"}
    command = [sys.executable, "-m", "pixelrnn", "app", "--port", str(port)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True, preexec_fn=heed_ctrl_c
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while not answers(port):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            process.send_signal(number)
            process.wait(60)
            while answers(port):
                assert time.monotonic() < deadline + 60
                time.sleep(0.1)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
