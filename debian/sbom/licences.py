# SPDX-License-Identifier: Apache-2.0
"""Licences of Debian's packages: what their copyright files declare, in the words of SPDX where it has some."""
import pathlib
import re

# A word of Debian's copyright files (format 1.0), and that of the SPDX licence list.
WORDS = {
    "Apache-2.0": "Apache-2.0", "BSD-2-Clause": "BSD-2-Clause", "BSD-3-Clause": "BSD-3-Clause", "BSD-3-Clause-Intel": "BSD-3-Clause",
    "BSL-1.0": "BSL-1.0", "CC0-1.0": "CC0-1.0", "Expat": "MIT", "FSFULLR": "FSFULLR", "GPL-2": "GPL-2.0-only", "GPL-2.0": "GPL-2.0-only",
    "GPL-2+": "GPL-2.0-or-later", "GPL-3+": "GPL-3.0-or-later", "LGPL-2+": "LGPL-2.0-or-later", "LGPL-2.1": "LGPL-2.1-only",
    "LGPL-2.1+": "LGPL-2.1-or-later", "LGPL-3.0": "LGPL-3.0-only", "Zlib": "Zlib",
}
SPDX_OF = {word.lower(): licence for word, licence in WORDS.items()}
UNKNOWN = "NOASSERTION"


def expression(text):
    """An SPDX expression for "LGPL-2.1 or BSD-2-Clause"; UNKNOWN unless every word is known."""
    out = []
    for word in text.split():
        if word.lower() in ("and", "or"):
            out.append(word.upper())
        elif word.lower() in SPDX_OF:
            out.append(SPDX_OF[word.lower()])
        else:
            return UNKNOWN
    # Words of licences at even places, what joins them at odd ones; both kinds together would need brackets.
    joints = out[1::2]
    sound = len(out) % 2 == 1 and all(joint in ("AND", "OR") for joint in joints) and not set(out[::2]) & {"AND", "OR"}
    return " ".join(out) if sound and len(set(joints)) <= 1 else UNKNOWN


def declared(copyright_text):
    """What a copyright file says of the package's files as a whole; "" if it is not of format 1.0."""
    if not copyright_text.lstrip().startswith("Format:"):
        return ""
    for paragraph in re.split(r"\n\s*\n", copyright_text):
        if re.search(r"^Files:\s*\*\s*$", paragraph, re.M):
            found = re.search(r"^License:[ \t]*(\S.*)$", paragraph, re.M)
            return found[1].strip() if found else ""
    return ""


def of_package(package, documents=pathlib.Path("/usr/share/doc")):
    """SPDX expression, and what Debian says in its own words ("" = nothing that a program can read)."""
    path = documents / package.split(":")[0] / "copyright"
    said = declared(path.read_text(errors="replace")) if path.exists() else ""
    return expression(said) if said else UNKNOWN, said
