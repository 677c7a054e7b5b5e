# SPDX-License-Identifier: Apache-2.0
"""What a change touches: unit test programs by includes and by rooms, end-to-end files by a small map."""
import pathlib

# A folder, or the beginning of a file's name, and the end-to-end tests that would notice.
END_TO_END = {
    "controlplane/announce/": ["announce_test.py"],
    "controlplane/api/": ["api_test.py"],
    "controlplane/http/": ["api_test.py"],
    "controlplane/changes/": ["live_test.py", "operator_test.py"],
    "controlplane/ctl/dns_zone": ["dns_zone_test.py"],
    "controlplane/ctl/doctor/": ["doctor_test.py", "setup_test.py"],
    "controlplane/ctl/setup/": ["setup_test.py"],
    "controlplane/ctl/": ["operator_test.py"],
    "controlplane/inspect/": ["looking_test.py"],
    "controlplane/metrics/": ["metrics_test.py"],
    "controlplane/records/": ["records_test.py"],
    "controlplane/page/": ["page_test.py"],
    "controlplane/": ["failure_test.py"],
    "healthcheck/": ["failure_test.py"],
    "config/haproxy/": ["import_test.py"],
    "config/": ["bad_input_test.py"],
    "dataplane/peers/": ["peers_test.py", "peers_crowd_test.py"],
    "dataplane/smtp/": ["looking_test.py"],
    "dataplane/device/": ["twin_test.py"],
    "dataplane/": ["forwarding_test.py"],
    "config/examples/regions/": ["regions_test.py"],
    "tests/lab/region": ["regions_test.py"],
    "tests/lab/": ["forwarding_test.py"],
    "demo": ["demo_test.py"],
    "perf/blast/": ["blast_test.py"],
    "perf/compare": ["compare_test.py"],
}


def end_to_end_files(changed):
    """Each changed file counts for the longest entry that fits it; a changed test for itself."""
    out = set()
    for name in changed:
        if name.startswith("tests/e2e/") and name.endswith("_test.py"):
            out.add(name)
        fitting = max((place for place in END_TO_END if name.startswith(place)), key=len, default=None)
        out |= {f"tests/e2e/{file}" for file in END_TO_END.get(fitting, [])}
    return sorted(out)


def room_of(name):
    """controlplane/api/check.cc and tests/controlplane/api/check_test.cc lie in the room controlplane/api."""
    return str(pathlib.PurePosixPath(name.removeprefix("tests/")).parent)


def unit_programs(changed, programs, includes):
    """Of (test, program, sources) those to be run: a source is touched, or tests the room of a changed file."""
    code = [name for name in changed if name.endswith((".h", ".cc"))]
    touched, rooms = includes.touched(code), {room_of(name) for name in code}
    for test, program, sources in programs:
        if sources & touched or {room_of(name) for name in sources if name.startswith("tests/")} & rooms:
            yield test, program


def document_tests(changed):
    """Documents name files, options and settings: cheap enough to be judged at any change but those of tests alone."""
    return ["tests/documents"] if any(not name.startswith("tests/") or name.startswith("tests/documents/") for name in changed) else []
