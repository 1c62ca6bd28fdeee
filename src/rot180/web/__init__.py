"""What the pages and servers of this program share: who may ask, where they listen, the files of a page.

guard.py      answers to foreign requests, bounded bodies, a token exchanged for a cookie
listening.py  the socket, and whether other machines can reach it
page.py       the files of a page: its own, and those of all pages, which are in page/

Needs Starlette, of the extras explore and serve.
"""
