# SPDX-License-Identifier: Apache-2.0
"""Whether a bill of materials is an SPDX 2.3 document of the form that debian/make-sbom writes, and what it says."""
import dataclasses

import jsonschema

NAME = {"type": "string", "minLength": 1}
LICENCE = {"type": "string", "pattern": r"^(NOASSERTION|[A-Za-z0-9.-]+( (AND|OR) [A-Za-z0-9.-]+)*)$"}


def strict(properties, optional=()):
    return {"type": "object", "properties": properties, "additionalProperties": False,
            "required": [name for name in properties if name not in optional]}


# Clauses 6, 7 and 11 of the specification, as far as the document uses them.
SCHEMA = strict({
    "spdxVersion": {"const": "SPDX-2.3"},
    "dataLicense": {"const": "CC0-1.0"},
    "SPDXID": {"const": "SPDXRef-DOCUMENT"},
    "name": NAME,
    "documentNamespace": {"type": "string", "pattern": r"^https://[^#\s]+$"},
    "creationInfo": strict({
        "created": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
        "creators": {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": r"^(Tool|Organization|Person): \S"}}}),
    "packages": {"type": "array", "minItems": 1, "items": strict({
        "SPDXID": {"type": "string", "pattern": r"^SPDXRef-[A-Za-z0-9.-]+$"},
        "name": NAME,
        "versionInfo": NAME,
        "supplier": {"type": "string", "pattern": r"^Organization: \S"},
        "downloadLocation": {"const": "NOASSERTION"},
        "filesAnalyzed": {"const": False},
        "licenseConcluded": LICENCE,
        "licenseDeclared": LICENCE,
        "licenseComments": NAME,
        "copyrightText": NAME,
        "sourceInfo": NAME,
        "externalRefs": {"type": "array", "items": strict({
            "referenceCategory": {"const": "PACKAGE-MANAGER"}, "referenceType": {"const": "purl"},
            "referenceLocator": {"type": "string", "pattern": r"^pkg:deb/[a-z]+/[^/\s]+@\S+\?arch=[a-z0-9]+$"}})},
    }, optional=("licenseComments", "sourceInfo"))},
    "relationships": {"type": "array", "minItems": 1, "items": strict({
        "spdxElementId": NAME, "relatedSpdxElement": NAME,
        "relationshipType": {"enum": ["DESCRIBES", "DYNAMIC_LINK", "STATIC_LINK", "DEPENDS_ON", "RUNTIME_DEPENDENCY_OF"]}})},
})


@dataclasses.dataclass
class Component:
    version: str
    licence: str
    kind: str  # how the described package is related to it


def require_valid(document, package, version):
    """Asserts the form, and that each package has one relation to the one described. Returns {name: Component} of the others."""
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    entries = {entry["SPDXID"]: entry for entry in document["packages"]}
    assert len(entries) == len(document["packages"]), "an identifier stands for two packages"
    (described,) = [one["relatedSpdxElement"] for one in document["relationships"] if one["relationshipType"] == "DESCRIBES"]
    assert (entries[described]["name"], entries[described]["versionInfo"]) == (package, version)
    kinds = {}
    for one in document["relationships"]:
        ends = {one["spdxElementId"], one["relatedSpdxElement"]}
        assert ends <= {"SPDXRef-DOCUMENT", *entries}, one
        (other,) = ends - {described}
        assert other not in kinds, f"{other} has two relations"
        kinds[other] = one["relationshipType"]
    assert set(kinds) == {"SPDXRef-DOCUMENT", *entries} - {described}
    return {entry["name"]: Component(entry["versionInfo"], entry["licenseDeclared"], kinds[entry["SPDXID"]])
            for entry in document["packages"] if entry["SPDXID"] != described}
