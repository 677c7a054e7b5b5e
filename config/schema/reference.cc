// SPDX-License-Identifier: Apache-2.0
#include "config/schema/reference.h"

#include <fmt/format.h>

#include <ostream>

#include "config/schema/settings.h"

namespace sluice::config {

namespace {

constexpr std::string_view kHead =
    "# The settings of Sluice's configuration file\n"
    "\n"
    "Made from the table in `config/schema/settings.cc` by `ninja -C build update-reference`; do not edit. The file is "
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

constexpr std::string_view kManHead = R"(.\" Made from the table in config/schema/settings.cc; do not edit.
.Dd November 21, 2026
.Dt SLUICE.CFG 5
.Os Sluice
.Sh NAME
.Nm sluice.cfg
.Nd configuration of Sluice
.Sh DESCRIPTION
.Xr sluice-dataplane 8
and
.Xr sluice-control 8
read the same file, in libconfig's form:
.Ql NAME = VALUE; ,
groups in braces, lists in parentheses, text in double quotes, comments after
.Ql #
or
.Ql //
or between
.Ql /*
and
.Ql */ ,
and
.Ql @include \(dqFILE\(dq ,
relative to the including file.
Seconds may have a fraction where the type is
.Dq number .
In the names below,
.Ql []
stands for each element of a list, and
.Ql NAME
for a name that you choose.
.Pp
A file with a fault is refused whole, with every fault in it.
.Ic sluice-control --config FILE --check
finds them beforehand.
.Sh SETTINGS
)";

constexpr std::string_view kManTail = R"(.Sh EXAMPLES
The smallest file that works:
.Bd -literal -offset indent
dataplane: { ports = ( { name = "wire"; device = "0000:3b:00.0"; } ); };
pools = ( { name = "mta"; backends = ( { name = "mta1"; address = "10.0.1.10"; },
                                       { name = "mta2"; address = "10.0.1.11"; } ); } );
services = ( { name = "relay"; vip = "192.0.2.25"; port = 25; pool = "mta"; } );
.Ed
.Sh SEE ALSO
.Xr sluice-control 8 ,
.Xr sluice-dataplane 8 ,
.Xr sluicectl 8
)";

// Text that roff takes as text: no line begins with a control character, no backslash is an escape.
std::string roff(std::string_view text) {
  std::string out = text.starts_with('.') || text.starts_with('\'') ? "\\&" : "";
  for (const char c : text) out += c == '\\' ? "\\e" : std::string(1, c);
  return out;
}

// "integer, 1 to 64; default 1".
std::string bounds_of(const Row& row) {
  std::string out = row.type;
  if (!row.allowed.empty()) out += ", " + row.allowed;
  if (row.fallback == "required") return out + "; required";
  return row.fallback.empty() ? out : out + "; default " + row.fallback;
}

}  // namespace

void print_man_page(std::ostream& out) {
  std::vector<Row> rows;
  describe_group("", settings(), rows);
  out << kManHead << ".Bl -tag -width Ds\n";
  for (const Row& row : rows)
    out << fmt::format(".It Ic \\&{}\n{}.\n.br\n{}.\n", roff(row.name), roff(bounds_of(row)), roff(row.help));
  out << ".El\n" << kManTail;
}

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
