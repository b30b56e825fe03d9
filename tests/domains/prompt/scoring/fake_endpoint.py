"""A tiny OpenAI-compatible endpoint on loopback, whose answers a function chooses."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def message(text, logprobs=None, usage=(10, 1)):
    """An answer: status, body, and headers."""
    choice = {"message": {"role": "assistant", "content": text}}
    if logprobs is not None:
        top = [{"token": token, "logprob": value} for token, value in logprobs.items()]
        choice["logprobs"] = {"content": [{"token": text, "top_logprobs": top}]}
    tokens = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return 200, json.dumps({"choices": [choice], "usage": tokens}).encode(), {}


@contextlib.contextmanager
def endpoint(answer):
    """The base URL, and the requests so far; `answer(request, number)` gives status, body and headers."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = json.loads(body)
            requests.append({**request, "path": self.path, "key": self.headers.get("Authorization")})
            status, content, headers = answer(request, len(requests))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
