"""The explorer: a page on this machine in which a network trains, is looked at, and is taken apart.

subject.py    what is explored: a network, its images, and the settings of its training
owner.py      the one thread that runs the network; commands are carried out between two steps
training.py   the training that the page shows: the one that `fit` runs
passes.py     passes of single images, kept unchanged, from which maps and ledgers are read
retrospect.py looking back: an image or a weight through the training, a run's steps again, two runs
lab.py        a convolution of small whole numbers
guard.py      who may ask: this machine's browser, with the cookie that the printed address gives
asked.py      reading what a request asks for
answers.py    what requests are answered with
lesson.py     the page as one file that needs no program
app.py        the requests and their answers
server.py     the address, the browser, the end
page/         what the browser shows: HTML, CSS, JavaScript modules, and its texts in each language

Nothing is computed here: numbers come from `inside` and `training`, and the page itself only adds them up again.
"""

from rot180.explore.lesson import write_lesson
from rot180.explore.server import explore
from rot180.explore.subject import Subject, open_beside, open_subject

__all__ = ["Subject", "explore", "open_beside", "open_subject", "write_lesson"]
