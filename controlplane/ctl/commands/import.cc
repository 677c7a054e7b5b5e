// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "config/haproxy/import.h"
#include "config/keepalived/import.h"
#include "controlplane/ctl/commands/commands.h"

namespace sluice::ctl {

namespace {

namespace haproxy = config::haproxy;
namespace imports = config::imports;
using config::IpAddress;

constexpr size_t kMaxBytes = 16 << 20;

std::unexpected<Failure> wrong_usage(std::string text) {
  return std::unexpected(Failure{Exit::kUsage, std::move(text)});
}

std::expected<std::string, Failure> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string out(kMaxBytes + 1, '\0');
  file.read(out.data(), static_cast<std::streamsize>(out.size()));
  if (!file.is_open() || file.bad() || (file.fail() && !file.eof()))
    return wrong_usage(fmt::format("{}: cannot be read", path));
  out.resize(static_cast<size_t>(file.gcount()));
  if (out.size() > kMaxBytes) return wrong_usage(fmt::format("{}: more than 16 MiB; no such file is so long", path));
  return out;
}

/// The addresses that stand for "every address".
std::expected<haproxy::Vips, Failure> vips_of(const Invocation& invocation) {
  haproxy::Vips out;
  for (const auto& [name, v4] : {std::pair{"vip", true}, std::pair{"vip6", false}}) {
    if (!invocation.has(name)) continue;
    const auto address = IpAddress::parse(invocation.text(name));
    if (!address || address->is_v4() != v4)
      return wrong_usage(fmt::format("--{}: allowed: an IPv{} address", name, v4 ? 4 : 6));
    (v4 ? out.v4 : out.v6) = address;
  }
  return out;
}

std::string_view kind_of(imports::Remark::Kind kind) {
  if (kind == imports::Remark::Kind::kWarning) return "warning";
  return kind == imports::Remark::Kind::kToDo ? "to_do" : "left_out";
}

nlohmann::json as_json(const imports::Imported& imported) {
  nlohmann::json remarks = nlohmann::json::array();
  for (const imports::Remark& remark : imported.remarks)
    remarks.push_back({{"line", remark.line}, {"kind", kind_of(remark.kind)}, {"text", remark.text}});
  return {{"config", imported.text}, {"remarks", std::move(remarks)}};
}

/// Each remark as a line, with `before` in front.
std::string lines_of(const imports::Imported& imported, const std::string& path, std::string_view before) {
  std::string out;
  for (const imports::Remark& remark : imported.remarks) {
    // A comment ends with its line, whatever the file is called.
    out += fmt::format("{}{}\n", before, remark.to_string(imports::printable(path)));
  }
  return out;
}

Outcome run_import(const Invocation& invocation) {
  const std::string format = invocation.text("FORMAT");
  if (format != "haproxy" && format != "keepalived")
    return wrong_usage(fmt::format("import \"{}\": allowed: haproxy, keepalived", format));
  const std::string path = invocation.text("FILE");
  const auto text = read_file(path);
  if (!text) return std::unexpected(text.error());
  const auto vips = vips_of(invocation);
  if (!vips) return std::unexpected(vips.error());
  const imports::Imported imported =
      format == "haproxy" ? haproxy::import(path, *text, *vips) : config::keepalived::import(path, *text);
  if (imported.text.empty())
    return std::unexpected(Failure{Exit::kFailed, imported.failure + "\n" + lines_of(imported, path, "")});
  return show_answer(invocation, as_json(imported),
                     [&](const nlohmann::json&) { return lines_of(imported, path, "// ") + "\n" + imported.text; });
}

}  // namespace

Command import_command() {
  return {
      .name = "import",
      .help = "Convert another balancer's configuration to ours; what it could not map or found wrong stands on top",
      .arguments = {{.name = "FORMAT", .help = "haproxy, keepalived"},
                    {.name = "FILE", .help = "the haproxy.cfg or keepalived.conf"}},
      .options = {{.name = "vip", .value = "ADDRESS", .help = "the VIP where the file listens on every IPv4 address"},
                  {.name = "vip6", .value = "ADDRESS", .help = "the same for IPv6"}},
      .run = run_import};
}

}  // namespace sluice::ctl
