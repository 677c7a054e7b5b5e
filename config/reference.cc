// SPDX-License-Identifier: Apache-2.0
#include "config/reference.h"

#include <fmt/format.h>

#include <ostream>

#include "config/settings.h"

namespace sluice::config {

namespace {

constexpr std::string_view kHead =
    "# The settings of Sluice's configuration file\n"
    "\n"
    "Made from the table in `config/settings.cc` by `ninja -C build update-reference`; do not edit. The file is "
    "libconfig's:\n"
    "`NAME = VALUE;`, groups in `{ }`, lists in `( )`, text in double quotes, comments after `#`, `//` or in `/* */`,\n"
    "and `@include \"FILE\"`, relative to the including file. Seconds may have a fraction where the type is "
    "\"number\".\n"
    "`[]` stands for each element of a list, `NAME` for a name that you choose. Examples are in `config/examples/`.\n";

constexpr std::string_view kColumns = "\n| setting | type | allowed | default | meaning |\n|---|---|---|---|---|\n";

// A cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}

}  // namespace

void print_reference(std::ostream& out) {
  std::vector<Row> rows;
  describe_group("", settings(), rows);
  out << kHead;
  for (const Row& row : rows) {
    const bool top = row.name.find_first_of(".[") == std::string::npos;
    if (top) out << fmt::format("\n## {}\n", row.name) << kColumns;
    out << fmt::format("| `{}` | {} | {} | {} | {} |\n", row.name, row.type, cell(row.allowed), cell(row.fallback),
                       cell(row.help));
  }
}

}  // namespace sluice::config
