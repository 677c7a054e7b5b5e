# SPDX-License-Identifier: Apache-2.0
"""The bill of materials of a package as an SPDX 2.3 document (https://spdx.github.io/spdx-spec/v2.3/). The same parts give the same
bytes: it has no time but that of the sources."""
import datetime
import hashlib
import json
import re

NAMESPACE = "https://sluice.example/spdx"
LICENCE = "Apache-2.0"
NOTHING = "NOASSERTION"
OURS = "Organization: The Sluice maintainers"
DEBIAN = "Organization: Debian"


def identifier(name):
    """SPDX takes letters, digits, dots and dashes."""
    return "SPDXRef-Package-" + re.sub(r"[^A-Za-z0-9.-]", "-", name)


def purl(name, version, architecture, distribution):
    """A package URL (https://github.com/package-url/purl-spec)."""
    def quoted(text):
        return re.sub(r"[^A-Za-z0-9.~_-]", lambda found: f"%{ord(found[0]):02X}", text)
    return f"pkg:deb/{distribution}/{quoted(name)}@{quoted(version)}?arch={architecture}"


def package_entry(name, version, architecture, distribution, supplier, licence):
    return {
        "SPDXID": identifier(name), "name": name, "versionInfo": version, "supplier": supplier, "downloadLocation": NOTHING,
        "filesAnalyzed": False, "licenseConcluded": NOTHING, "licenseDeclared": licence, "copyrightText": NOTHING,
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                          "referenceLocator": purl(name, version, architecture, distribution)}],
    }


def component_entry(component):
    out = package_entry(component.name, component.version, component.architecture, "debian", DEBIAN, component.licence)
    out["sourceInfo"] = f"built from Debian's source package {component.source} {component.source_version}"
    if component.licence_words and component.licence == NOTHING:
        out["licenseComments"] = f"Debian's copyright file says: {component.licence_words}"
    return out


def relationship(one, kind, other):
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def document(package, version, architecture, parts, epoch_s):
    """The whole document. `epoch_s`: SOURCE_DATE_EPOCH."""
    ours = identifier(package)
    entries = {ours: package_entry(package, version, architecture, "sluice", OURS, LICENCE)}
    entries[ours]["licenseConcluded"] = LICENCE
    relations = [relationship("SPDXRef-DOCUMENT", "DESCRIBES", ours)]
    for kind, components in (("DYNAMIC_LINK", parts.linked), ("DEPENDS_ON", parts.loaded), ("STATIC_LINK", parts.compiled)):
        for component in components:
            entries[identifier(component.name)] = component_entry(component)
            relations.append(relationship(ours, kind, identifier(component.name)))
    for component in parts.drivers:
        entries[identifier(component.name)] = component_entry(component)
        relations.append(relationship(identifier(component.name), "RUNTIME_DEPENDENCY_OF", ours))
    out = {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"{package}-{version}",
        "creationInfo": {
            "created": datetime.datetime.fromtimestamp(epoch_s, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [OURS, f"Tool: sluice-make-sbom-{version}"],
        },
        "packages": list(entries.values()), "relationships": relations,
    }
    digest = hashlib.sha256(json.dumps(out, sort_keys=True).encode()).hexdigest()
    out["documentNamespace"] = f"{NAMESPACE}/{package}-{version}-{digest[:32]}"
    return json.dumps(out, indent=1) + "\n"
