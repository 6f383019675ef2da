"""Start of the self-extracting archive: run it with the Python that it was built for, or end with the remedy.

`deploy/release/memroll_release/archive.py` puts this text before the archive's own start. It must be valid for any
Python, and imports the standard library only: the packages in the archive have compiled parts for one platform and one
minor version.
"""

import os
import sys
import sysconfig

BUILT_FOR = (3, 11)
BUILT_ON = "linux-x86_64"
AGAIN = "MEMROLL_PYTHON_CHECKED"


def check_python():
    version = sys.version_info[:2]
    name = "python%d.%d" % BUILT_FOR
    platform = sysconfig.get_platform()
    if platform != BUILT_ON:
        sys.exit(_message("is for %s, and this is %s" % (BUILT_ON, platform)))
    if version == BUILT_FOR:
        os.environ.pop(AGAIN, None)
        return
    if AGAIN not in os.environ:
        os.environ[AGAIN] = "1"
        try:
            os.execvp(name, [name] + sys.argv)
        except OSError:
            pass
    sys.exit(_message("needs %s, and this is Python %d.%d: install %s" % ((name,) + version + (name,))))


def _message(text):
    return "memroll: this file %s, or build one for your Python: make dist ONLY=command PYTHON=/path/to/python3" % text


check_python()
