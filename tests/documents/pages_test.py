# SPDX-License-Identifier: Apache-2.0
"""Man pages, completion and docs: well-formed, and complete by what the programs themselves say."""
import json
import re
import subprocess

import pytest

import truth
from lab.balancer import ROOT

PAGES = ["man8/sluicectl.8", "man8/sluice-control.8", "man8/sluice-dataplane.8", "man5/sluice.cfg.5"]


def run(*argv):
    done = subprocess.run([str(word) for word in argv], text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def shown(path):
    """The page as a reader sees it, on a very wide terminal."""
    return re.sub(".\b", "", run("mandoc", "-T", "utf8", "-O", "width=1000", path))


@pytest.mark.parametrize("page", PAGES)
def test_mandoc_finds_nothing_wrong_with_a_page(find, page):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", find(page)], text=True, capture_output=True, timeout=120)
    # Pages of the same set that are not installed on the machine of the test.
    complaints = [line for line in done.stdout.splitlines() if "referenced manual not found" not in line]
    assert not complaints, "\n".join(complaints)


def test_the_page_of_settings_has_every_setting_of_the_reference(find):
    text = shown(find("man5/sluice.cfg.5"))
    settings = re.findall(r"^\| `([^`]+)` \|", (ROOT / "config/REFERENCE.md").read_text(), re.MULTILINE)
    assert len(settings) > 60
    missing = [name for name in settings if not re.search(rf"^ *{re.escape(name)}( |$)", text, re.MULTILINE)]
    assert not missing


def commands_of(find):
    """Command -> its options, as sluicectl's own help tells."""
    program = find("sbin/sluicectl")
    help_text = run(program, "--help")
    names = re.findall(r"^  ([a-z][a-z-]*) ", help_text.split("Subcommands:")[1], re.MULTILINE)
    assert "status" in names and "import" in names
    return {name: set(re.findall(r"^  (?:-\w,)?(--[a-z0-9-]+)", run(program, name, "--help"), re.MULTILINE)) - {"--help"} for name in names}


def test_the_page_of_sluicectl_has_every_command_and_option(find):
    text = shown(find("man8/sluicectl.8"))
    sections = dict(re.findall(r"^   ([a-z][a-z-]*)\n(.*?)(?=^ {0,3}\S)", text, re.MULTILINE | re.DOTALL))
    for command, options in commands_of(find).items():
        assert f"sluicectl {command}" in sections[command]
        missing = [option for option in options if option not in sections[command]]
        assert not missing, f"{command}: {missing}"


@pytest.mark.parametrize("program", ["sluice-control", "sluice-dataplane"])
def test_the_page_of_a_program_has_every_option(find, program):
    options = set(re.findall(r"^  (?:-\w,)?(--[a-z0-9-]+)", run(find(f"sbin/{program}"), "--help"), re.MULTILINE))
    assert {"--config", "--version"} <= options
    text = shown(find(f"man8/{program}.8"))
    assert not [option for option in options if option not in text]


def completions(find, line, directory=None):
    """What bash offers at the end of a command line."""
    script = f"""
source {find("bash-completion/completions/sluicectl")}
sluicectl() {{ [ "$*" = "--json status" ] && cat {directory}/status.json; }}
COMP_LINE={json.dumps(line)}
read -ra COMP_WORDS <<< "$COMP_LINE"
[[ $COMP_LINE == *' ' ]] && COMP_WORDS+=("")
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_sluicectl
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script], text=True, capture_output=True, timeout=120, cwd=directory)
    assert not done.stderr, done.stderr
    return [word for word in done.stdout.split("\n") if word]


def test_completion_offers_every_command_and_its_options(find):
    commands = commands_of(find)
    assert set(commands) <= set(completions(find, "sluicectl "))
    for command, options in commands.items():
        assert options <= set(completions(find, f"sluicectl {command} --")), command
    assert completions(find, "sluicectl stat") == ["status"]
    assert completions(find, "sluicectl --js") == ["--json"]


def test_completion_knows_options_values_and_files(find, tmp_path):
    (tmp_path / "haproxy.cfg").touch()
    assert completions(find, "sluicectl import h", tmp_path) == ["haproxy"]
    assert completions(find, "sluicectl import haproxy ha", tmp_path) == ["haproxy.cfg"]
    assert completions(find, "sluicectl --config ha", tmp_path) == ["haproxy.cfg"]
    assert completions(find, "sluicectl --config haproxy.cfg stat", tmp_path) == ["status"]
    assert completions(find, "sluicectl warmup mta/mta1 r", tmp_path) == ["resume", "rollback"]
    assert "--ttl" in completions(find, "sluicectl dns-zone mail.example.net --ttl 60 --")


def test_completion_names_backends_of_the_running_instance(find, tmp_path):
    (tmp_path / "status.json").write_text(json.dumps({"backends": [{"pool": "mta", "name": "mta1"}, {"pool": "mta", "name": "mta2"}]}))
    assert completions(find, "sluicectl backends mta/", tmp_path) == ["mta/mta1", "mta/mta2"]


def test_docs_give_commands_options_that_they_have(find):
    options = commands_of(find)
    faults = [fault for page in truth.pages_of(ROOT) for fault in truth.wrong_options(page, options)]
    assert not faults, "\n".join(faults)


def test_whole_files_in_docs_pass_the_check(find, tmp_path):
    """A block with ports, pools and services is a whole configuration."""
    whole = [(page, line, text) for page in truth.pages_of(ROOT) for line, _, text in page.blocks
             if all(re.search(rf"\b{word}\b", text) for word in ("ports", "pools", "services")) and "device" in text]
    assert whole
    for page, line, text in whole:
        (tmp_path / "whole.cfg").write_text(text)
        done = subprocess.run([find("sbin/sluice-control"), "--config", tmp_path / "whole.cfg", "--check"], text=True, capture_output=True,
                              timeout=120)
        assert done.returncode == 0, page.fault(line, done.stdout + done.stderr)
