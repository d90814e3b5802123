"""What of the packages is not in the image, and why (docs/adr/0006 has the figures).

`tests` of the project run on what is left (e2e/install/test_image.py), so that a line here which takes too much is found out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cut:
    """Files that are left out: `away` and `keep` are fnmatch patterns of paths, and `why` no run of flaggerpy can miss them."""

    why: str
    away: tuple[str, ...]
    keep: tuple[str, ...] = ()


LIBRARY = "usr/lib/python3.11"
SITE = "usr/local/lib/python3.11/dist-packages"


def library(*names: str) -> tuple[str, ...]:
    return tuple(f"{LIBRARY}/{name}" for name in names)


def site(*names: str) -> tuple[str, ...]:
    return tuple(f"{SITE}/{name}" for name in names)


DEBIAN: tuple[Cut, ...] = (
    Cut("for people who read them on a machine", ("usr/share/*",), ("usr/share/doc/*/copyright", "usr/share/zoneinfo/*")),
    Cut("the same time zones again, with and without leap seconds", ("usr/share/zoneinfo/right/*", "usr/share/zoneinfo/posix/*")),
    Cut("programs: there is one, Python", ("usr/bin/*", "usr/sbin/*"), ("usr/bin/python3.11",)),
    Cut("settings of programs that are not there", ("etc/*", "var/*", "usr/lib/ssl/*"), ("etc/debian_version",)),
    Cut("character sets other than Unicode: Python has its own", ("usr/lib/*/gconv/*",)),
    Cut("engines and providers of OpenSSL that must be configured to be loaded", ("usr/lib/*/engines-3/*", "usr/lib/*/ossl-modules/*")),
    Cut(
        "parts of the C library for profiling, debugging, old programs and NIS",
        (
            *(f"usr/lib/*/lib{name}.so*" for name in ("memusage", "pcprofile", "c_malloc_debug", "mvec", "nsl", "thread_db")),
            *(f"usr/lib/*/lib{name}.so*" for name in ("nss_compat", "nss_hesiod", "BrokenLocale")),
            "usr/lib/*/audit/*",
        ),
    ),
    Cut("the distribution's own upkeep", ("usr/lib/os-release.d/*", "usr/lib/ca-certificates/*", "usr/lib/triggers/*")),
    Cut(
        "Python's parts for developers, teaching and desktops",
        library(
            *("idlelib/*", "lib2to3/*", "ensurepip/*", "venv/*", "distutils/*", "test/*", "pydoc_data/*", "turtledemo/*", "tkinter/*"),
            *("turtle.py", "antigravity.py", "this.py", "__phello__/*", "curses/*", "sqlite3/*", "dbm/*", "crypt.py", "nntplib.py"),
            *("sitecustomize.py", "_sysconfigdata*", "mailbox.py", "imaplib.py", "poplib.py", "telnetlib.py", "ftplib.py"),
            *("aifc.py", "sunau.py", "wave.py", "sndhdr.py", "chunk.py", "email/architecture.rst", "LICENSE.txt"),
        ),
        library("test/__init__.py", "_sysconfigdata__x86_64-linux-gnu.py", "_sysconfigdata__linux_x86_64-linux-gnu.py"),
    ),
    Cut(
        "Python's extension modules for those, and for its own tests",
        library(
            *(f"lib-dynload/{name}.cpython-*" for name in ("_curses*", "_dbm", "_gdbm", "_sqlite3", "_crypt", "nis", "readline")),
            *(f"lib-dynload/{name}*" for name in ("_test", "_xx", "xx", "_ctypes_test", "_tkinter", "_codecs_", "_uuid")),
            *(f"lib-dynload/{name}.*" for name in ("ossaudiodev", "audioop")),
        ),
    ),
)

DISTRIBUTIONS: dict[str, str] = {
    "dateparser": "prometheus-api-client wants it for times that people write, in its `utils`, which nothing of ours imports",
    "pytz": "wanted by dateparser",
    "regex": "wanted by dateparser",
    "tzlocal": "wanted by dateparser",
    "tzdata": "the time zones of Debian's tzdata are there, and Python looks for those first",
}
"""Distributions of requirements.txt that are not in the image at all."""

WHEELS: tuple[Cut, ...] = (
    Cut("sources of extension modules, types for checkers", ("*.pyx", "*.pxd", "*.pxi", "*.c", "*.h", "*.pyi", "*/py.typed", "*.pyi.in")),
    Cut("tests of the packages", ("*/tests/*", "*/test/*", "*/testing/*"), site("pluggy/*")),
    Cut("what installers note; scanners read METADATA", ("*.dist-info/RECORD", "*.dist-info/WHEEL", "*.dist-info/top_level.txt")),
    Cut(
        "generated models and verbs of the Kubernetes API: flaggerpy speaks plain objects, and the package loads these when they are named",
        site("kubernetes/client/api/*", "kubernetes/client/models/*", "kubernetes/aio/client/api/*", "kubernetes/aio/client/models/*"),
        site(
            *("kubernetes/client/api/__init__.py", "kubernetes/client/models/__init__.py"),
            *("kubernetes/aio/client/api/__init__.py", "kubernetes/aio/client/models/__init__.py"),
        ),
    ),
    Cut(
        "colours for the sources of some 500 languages",
        site("pygments/lexers/*", "pygments/styles/*", "pygments/formatters/*"),
        site(
            *(f"pygments/lexers/{name}.py" for name in ("__init__", "_mapping", "special", "python", "data", "diff")),
            *("pygments/styles/__init__.py", "pygments/styles/_mapping.py", "pygments/styles/default.py", "pygments/styles/monokai.py"),
            *("pygments/formatters/__init__.py", "pygments/formatters/_mapping.py", "pygments/formatters/terminal.py"),
        ),
    ),
)
