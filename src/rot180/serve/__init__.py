"""The server: trained networks behind HTTP, and a page to try them.

settings.py    what is served, and its limits
served.py      a network under a name: what it takes and returns
batching.py    images of many requests run together, by one thread
tensors.py     the tensors of the Open Inference Protocol, in JSON and in binary
pictures.py    image files: their classes, and what these rest on
form.py        files in a form
bodies.py      how much memory bodies may take together
guard.py       who may ask
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
