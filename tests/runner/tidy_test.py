# SPDX-License-Identifier: Apache-2.0
"""Files that are judged as one: who may share a batch, and that each file's findings are told as its own, by the real clang-tidy."""
import json
import pathlib
import subprocess

import pytest

from . import shell, tidy
from .results import Results
from .tidy_batches import Batch, batches, private_names

CLEAN = "#include \"one.h\"\n\nnamespace {\n\nint twice(int x) {\n  return 2 * x;\n}\n\n}  // namespace\n\nint four() {\n  return twice(2);\n}\n"
NULL = "#include \"one.h\"\n\nint fault(int x) {\n  int* const at = nullptr;\n  return x > 3 ? *at : 0;\n}\n"
SAME_NAME = "#include \"one.h\"\n\nnamespace {\n\nlong twice(int x, int y) {\n  return x * y;\n}\n\n}  // namespace\n\nlong other() {\n  return twice(2, 3);\n}\n"


def test_what_a_file_keeps_to_itself_is_known_by_name():
    text = """
namespace sluice {
int shared();
namespace {

constexpr int kVersion = 1;
using nlohmann::json;
using namespace std::chrono_literals;
namespace http = boost::beast::http;
struct Refusal {
  int inner;
};
enum class Kind { kOne };
std::optional<std::string> text_of(const Map<int, int>& map) {
  return other(map);
}
TEST_F(SomeTest, Works) {
}

}  // namespace
int outside() {
}
static int local_too(int x);
"""
    assert private_names(text) == {"kVersion", "Refusal", "Kind", "text_of", "SomeTest, Works", "local_too"}


def test_files_that_share_a_private_name_or_differ_in_kind_are_apart():
    texts = {"a.cc": CLEAN, "b.cc": SAME_NAME, "c.cc": NULL, "d.cc": NULL.replace("fault", "f"), "e.cc": "// x\n" * 2499}
    made = batches(list(texts), texts.__getitem__, lambda name: name == "d.cc")
    assert [batch.names for batch in made] == [["a.cc", "c.cc"], ["b.cc"], ["d.cc"], ["e.cc"]]


def test_a_line_of_a_batch_is_a_line_of_its_file():
    batch = Batch(["a.cc", "b/c.cc"], {"a.cc": "1\n2", "b/c.cc": "3\n4\n"}.__getitem__)
    assert [batch.place_of(line) for line in (1, 2, 3, 4)] == [("a.cc", 1), ("a.cc", 2), ("b/c.cc", 1), ("b/c.cc", 2)]
    assert batch.named("/x/batch_of_a.cc:3:7: error: no") == "b/c.cc:1:7: error: no"


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """A project of these files, and a function that judges it: the faulty ones, and how many are remembered as clean."""
    def run(texts, whole=True, checks="clang-analyzer-core*,modernize-use-nullptr"):
        root = tmp_path / "project"
        (root / "build").mkdir(parents=True, exist_ok=True)
        (root / ".clang-tidy").write_text(f"Checks: '-*,{checks}'\nWarningsAsErrors: '*'\nHeaderFilterRegex: '.*'\n")
        (root / "one.h").write_text("#pragma once\nint four();\n")
        for name, text in texts.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text)
        (root / "build/compile_commands.json").write_text(json.dumps(
            [{"directory": str(root / "build"), "file": f"../{name}",
              "command": f"g++ -I.. -I../{pathlib.Path(name).stem} -o {name}.o -c ../{name}"} for name in texts if name.endswith(".cc")]))
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        for module in (tidy, shell):
            monkeypatch.setattr(module, "ROOT", root)
        monkeypatch.setenv("SLUICE_TIDY_CACHE", str(tmp_path / "cache"))
        one = tidy.Tidy("build", whole=whole)
        one.start(1)
        assert one.finish(None, Results()) == 0
        return sorted(one.faulty), len(list((tmp_path / "cache").glob("*-quick")))
    return run


def test_the_analyzer_sees_every_file_of_a_batch_and_only_the_faulty_one_is_named(judge):
    assert judge({"a.cc": CLEAN, "b.cc": NULL, "c.cc": "int* five() {\n  return 0;\n}\n", "d.cc": "int six();\n"}) == (["b.cc", "c.cc"], 2)


def test_files_that_do_not_go_together_after_all_are_judged_apart(judge):
    # By the names alone they would: the one that clashes is made by a macro.
    made = "#define MAKE(name) namespace { struct name {}; } int use_##name() { return sizeof(name); }\n"
    assert judge({"a.cc": made + "MAKE(x)\n", "b.cc": made.replace("use_", "try_") + "MAKE(x)\n"}) == ([], 2)


def test_files_that_look_for_headers_in_different_places_go_together(judge):
    assert judge({"a.cc": CLEAN, "b/own.h": "#pragma once\ninline int* none() { return 0; }\n",
                  "b.cc": "#include <own.h>\nint seven() {\n  return none() != nullptr;\n}\n"})[0] == ["a.cc", "b.cc"]


def test_a_finding_in_a_header_is_of_all_that_include_it(judge):
    assert judge({"a.cc": CLEAN, "two.h": "#pragma once\ninline int* none() { return 0; }\n",
                  "b.cc": "#include \"two.h\"\n"})[0] == ["a.cc", "b.cc"]


def test_who_was_not_judged_by_the_costly_check_is_judged_again_when_it_counts(judge):
    costly = {"a.cc": "struct Big {\n  Big(const Big&);\n  ~Big();\n  int x;\n};\nint x_of(Big big) {\n  return big.x;\n}\n"}
    assert judge(costly, whole=False, checks=f"modernize-use-nullptr,{tidy.COSTLY}") == ([], 1)
    assert judge(costly, checks=f"modernize-use-nullptr,{tidy.COSTLY}")[0] == ["a.cc"]


def test_who_is_clean_by_all_checks_is_known_to_be_so_without_the_costly_one(judge):
    assert judge({"a.cc": CLEAN}) == ([], 1)
    assert judge({"a.cc": CLEAN}, whole=False) == ([], 1)
