"""E-mail addresses (RFC 5321): a local part and a domain name."""

from __future__ import annotations

# what stands after the last dot in `logo@2x.png`: file names, never top-level domains
_FILE_ENDINGS = frozenset(
    (
        *("bmp", "bz2", "cfg", "class", "conf", "css", "csv", "dll", "doc", "docx", "eot", "exe", "gif", "gz", "htm", "html"),
        *("ico", "jar", "jpeg", "jpg", "js", "json", "jsp", "less", "log", "map", "min", "mp3", "mp4", "pdf", "php", "png"),
        *("ppt", "pptx", "scss", "svg", "tar", "tgz", "ts", "ttf", "txt", "webp", "woff", "xls", "xlsx", "xml", "yaml", "yml"),
    )
)


def email(text: str) -> bool | None:
    """Refutes what only looks like an address: file names with an @, empty or over-long parts.

    >>> email("zhang.san@xm.gov.cn"), email("logo@2x.png"), email(".a@b.cn")
    (None, False, False)
    """
    local, _, domain = text.rpartition("@")
    if not 1 <= len(local) <= 64 or len(domain) > 255 or local[0] == "." or local[-1] == "." or ".." in text:
        return False
    return False if domain.rpartition(".")[2].lower() in _FILE_ENDINGS else None
