"""People who take part in a study, as a server meets them: somebody with a cookie and a browser."""

import http.client
import re
from threading import Thread
from urllib.parse import urlencode

from study_faces import small

from veil.images import Photo, encode
from veil.study.answers import Answers
from veil.study.limits import Limits
from veil.study.server import StudyServer

MADE = small()
IMAGES = {name: encode(Photo(image)) for name, image in MADE.images.items()}
FORM = "application/x-www-form-urlencoded"


class serving:
    """A server that answers in a thread."""

    def __init__(self, answers: Answers, **other: str | Limits) -> None:
        self.server = StudyServer(MADE.study, IMAGES, answers, **other)
        self.thread = Thread(target=self.server.serve_forever)

    def __enter__(self) -> StudyServer:
        self.thread.start()
        return self.server

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.__exit__()


class Person:
    """Somebody with a cookie, and a browser that says where its forms come from."""

    def __init__(self, server: StudyServer) -> None:
        self.server, self.cookie = server, ""
        self.host = f"127.0.0.1:{server.port}"

    def ask(self, method: str, path: str, body: str | None = None, **headers: str | None) -> http.client.HTTPResponse:
        """A request; the response's ``text`` is its body; ``headers`` replace a browser's, None leaves one out."""
        sent = {"Host": self.host, "Cookie": self.cookie}
        if method == "POST":
            sent |= {"Origin": f"http://{self.host}", "Content-Type": FORM, "Content-Length": str(len(body or ""))}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in (sent | named).items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders((body or "").encode())
        response = connection.getresponse()
        response.data = response.read()  # type: ignore[attr-defined]
        connection.close()
        if set_to := response.headers["Set-Cookie"]:
            self.cookie = set_to.partition(";")[0]
        return response

    def start(self) -> "Person":
        assert self.ask("POST", "/start").status == 303
        return self

    def question(self) -> str:
        """The name of the question that is asked."""
        page = text(self.ask("GET", "/question"))
        return re.findall(r'name="question" value="(\w+)"', page)[0]

    def answer(self, question: str, choice: object) -> int:
        return self.ask("POST", "/answer", urlencode({"question": question, "choice": choice})).status


def text(response: http.client.HTTPResponse) -> str:
    return response.data.decode()  # type: ignore[attr-defined,no-any-return]
