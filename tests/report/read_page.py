"""Reads a report page: its tags, its text and its hovers."""

from html.parser import HTMLParser

from rl_eval.report import write_report

VOID = {"meta", "img", "input", "br"}


class Page(HTMLParser):
    """The tags, the text and the order of headings; every tag that opens is closed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.hovers, self._open = [], [], [], []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "svg" in self._open and self._open[-1] == "title":
            self.hovers.append(data)
        elif not self._open or self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, name):
        return [attrs for tag, attrs in self.tags if tag == name]


def page_of(*paths, **options):
    return Page(write_report(list(paths), **options).read_text())
