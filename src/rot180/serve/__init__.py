"""The server: trained networks behind HTTP, and a page to try them.

settings.py    what is served, and its limits
served.py      a network under a name: what it takes and returns
batching.py    images of many requests run together, by one thread
protocol.py    the Open Inference Protocol: requests for tensors
tensors.py     its tensors, in JSON and in binary
pictures.py    image files, and what a decision hung on
form.py        files in a form
bodies.py      reading a body: how long it may be, how long it may take
guard.py       who may ask
connection.py  clients that are slow to ask, or to read the answer
metrics.py     counts and times, as Prometheus reads them
log.py         what happened, a JSON object a line
app.py         the requests and their answers
server.py      the address, the workers, the end
page/          what the browser shows, beside what is in `rot180.web`

Answers have the bits of `rot180 predict`, whatever batch a request fell into.
"""

from rot180.serve.server import serve
from rot180.serve.settings import Settings

__all__ = ["Settings", "serve"]
