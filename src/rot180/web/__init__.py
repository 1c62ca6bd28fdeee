"""What the pages and servers of this program share: who may ask and for how long, where they listen, a page's files.

guard.py       answers to foreign requests, a token exchanged for a cookie
bodies.py      how long the body of a request may be, and how long it may take
refusals.py    one line that says why, in the language that is asked for
connection.py  clients that are slow to ask, or to read the answer
server.py      a server that tells when it answers
listening.py   the socket, and whether other machines can reach it
page.py        the files of a page: its own, and those of all pages, which are in page/

Needs Starlette and uvicorn, of the extras explore and serve.
"""
