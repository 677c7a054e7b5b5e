// SPDX-License-Identifier: Apache-2.0
//
// Backends that are not in the file: discovered, backend.
#include <fmt/format.h>

#include <array>
#include <iterator>
#include <nlohmann/json.hpp>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/tables.h"
#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

std::string head_of(const json& pool) {
  const std::string source = text_of(pool, "source");
  std::string out =
      fmt::format("{}: {}\n", text_of(pool, "pool"), source.empty() ? "added by hand" : printable(source));
  if (!source.empty())
    out += pool.at("read").is_null() ? "not read yet\n" : fmt::format("read {}\n", text_of(pool, "read"));
  if (const std::string fault = text_of(pool, "fault"); !fault.empty())
    out += "refused as it is now: " + printable(fault) + "\n";
  if (const auto missing = pool.at("missing").get<uint64_t>(); missing != 0)
    out += fmt::format("{} vanished at once and are kept; if they have really left: sluicectl backend accept {}\n",
                       missing, text_of(pool, "pool"));
  return out;
}

std::string view_of(const json& answer, bool colours) {
  if (answer.at("pools").empty()) return "every backend is in the file\n";
  std::string out;
  for (const json& pool : answer.at("pools")) {
    out += (out.empty() ? "" : "\n") + head_of(pool);
    TextTable table({"BACKEND", "ADDRESS", "ORIGIN", "IN USE"});
    for (const json& backend : pool.at("backends")) {
      const bool in_use = backend.at("in_use").get<bool>(), missing = backend.at("missing").get<bool>();
      table.add({printable(text_of(backend, "name")), text_of(backend, "address"), text_of(backend, "origin"),
                 Cell{missing  ? "yes, although missing"
                      : in_use ? "yes"
                               : "no: the file has its name or address",
                      missing || !in_use ? Colour::kBad : Colour::kGood}});
    }
    if (!pool.at("backends").empty()) out += table.to_string(colours);
  }
  return out;
}

struct Setting {
  const char* option;
  const char* name;
  const char* help;
  uint64_t most;
};

constexpr std::array kSettings = {
    Setting{"port", "port", "The port it listens on; the service's without", 65535},
    Setting{"weight", "weight", "Its share of new flows, relative to the others; 100 without", 65535},
    Setting{"tier", "tier", "It takes traffic only when all lower tiers are out", 7},
    Setting{"max-connections", "max_connections", "Open at once, at each of its ports; 0 = no limit", 10'000'000},
};

/// What "add" is to add; the error says which option is wrong.
std::expected<json, Failure> backend_from(const Invocation& invocation) {
  json out{{"name", invocation.text("BACKEND")}, {"address", invocation.text("ADDRESS")}};
  for (const Setting& setting : kSettings) {
    const auto value = invocation.number(setting.option, 0, 0, setting.most);
    if (!value) return std::unexpected(value.error());
    if (invocation.has(setting.option)) out[setting.name] = *value;
  }
  if (invocation.has("zone")) out["zone"] = invocation.text("zone");
  return out;
}

Outcome change(const Invocation& invocation) {
  const std::string action = invocation.text("ACTION");
  json body{{"action", action}, {"pool", invocation.text("POOL")}};
  if (action == "add") {
    auto backend = backend_from(invocation);
    if (!backend) return std::unexpected(backend.error());
    if (!invocation.has("BACKEND") || !invocation.has("ADDRESS"))
      return std::unexpected(Failure{Exit::kUsage, "allowed: backend add POOL BACKEND ADDRESS"});
    body["backend"] = std::move(*backend);
  } else if (action == "remove") {
    if (!invocation.has("BACKEND"))
      return std::unexpected(Failure{Exit::kUsage, "allowed: backend remove POOL BACKEND"});
    body["name"] = invocation.text("BACKEND");
  } else if (action != "accept") {
    return std::unexpected(Failure{Exit::kUsage, "ACTION: allowed: add, remove, accept"});
  }
  const auto client = invocation.client();
  if (!client) return std::unexpected(client.error());
  const auto answer = client->post("/api/v1/discovered", body);
  if (!answer) return std::unexpected(answer.error());
  return show_answer(invocation, *answer, [&](const json& done) {
    const std::string warning = text_of(done, "warning");
    return fmt::format("{}: pool {}\n", action, printable(text_of(done, "pool"))) +
           (warning.empty() ? "" : "warning: " + printable(warning) + "\n");
  });
}

std::vector<Option> add_options() {
  std::vector<Option> out;
  out.reserve(std::size(kSettings) + 1);
  for (const Setting& setting : kSettings) out.push_back({setting.option, "N", setting.help});
  out.push_back({"zone", "ZONE", "Where it is; as near as this node's own zone without"});
  return out;
}

}  // namespace

Command discovered_command() {
  return {.name = "discovered",
          .help = "Backends that are not in the file: from the sources of pools, and added by hand",
          .run = [](const Invocation& invocation) {
            return show(invocation, "/api/v1/discovered",
                        [&](const json& answer) { return view_of(answer, invocation.colours); });
          }};
}

Command backend_command() {
  return {.name = "backend",
          .help = "Add a backend to a pool by hand, take that back, or accept that missing ones have left",
          .arguments = {{.name = "ACTION", .help = "add, remove or accept"},
                        {.name = "POOL", .help = "Its pool"},
                        {.name = "BACKEND", .help = "Its name, for add and remove", .required = false},
                        {.name = "ADDRESS", .help = "Where it is, for add", .required = false}},
          .options = add_options(),
          .run = change};
}

}  // namespace sluice::ctl
