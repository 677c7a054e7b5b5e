// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

constexpr uint64_t kMostFlows = 10'000;

std::string duration(uint64_t ms) {
  if (ms < 60'000) return fmt::format("{:.1f}s", static_cast<double>(ms) / 1000);
  if (ms < 3'600'000) return fmt::format("{}m {}s", ms / 60'000, ms / 1000 % 60);
  return fmt::format("{}h {}m", ms / 3'600'000, ms / 60'000 % 60);
}

std::string or_dash(const json& value) {
  if (value.is_null()) return "-";
  return value.is_string() ? printable(value.get<std::string>()) : value.dump();
}

std::string client_of(const json& flow) {
  const auto address = flow.at("client").get<std::string>();
  const auto port = flow.at("client_port").get<uint16_t>();
  return address.find(':') == std::string::npos ? fmt::format("{}:{}", address, port)
                                                : fmt::format("[{}]:{}", address, port);
}

Cell state_cell(const json& flow) {
  const std::string state = flow.at("cut").get<bool>() ? "cut" : or_dash(flow.at("state"));
  return {state, state == "established" ? Colour::kGood : Colour::kNone};
}

std::string view_of_flows(const json& answer, bool colours) {
  TextTable table({"CLIENT", "SERVICE", "BACKEND", ">AGE", ">IDLE", "STATE", "SMTP", ">BYTES UP", ">BYTES DOWN"});
  for (const json& flow : answer.at("flows")) {
    table.add({client_of(flow), or_dash(flow.at("service")), or_dash(flow.at("backend")),
               duration(flow.at("age_ms").get<uint64_t>()), duration(flow.at("idle_ms").get<uint64_t>()),
               state_cell(flow), or_dash(flow.at("smtp_phase")), or_dash(flow.at("bytes_from_client")),
               or_dash(flow.at("bytes_from_backend"))});
  }
  const size_t shown = answer.at("flows").size();
  const auto matched = answer.at("matched").get<uint64_t>();
  std::string states;
  for (const auto& [name, count] : answer.at("states").items()) {
    states += fmt::format("{}{} {}", states.empty() ? "" : ", ", count.get<uint64_t>(), name);
  }
  return table.to_string(colours) +
         fmt::format("\n{} flow{} match{}{}{}\n", matched, matched == 1 ? "" : "s", matched == 1 ? "es" : "",
                     states.empty() ? "" : ": " + states,
                     shown < matched ? fmt::format("; the {} oldest are shown (--oldest N for more)", shown) : "");
}

Outcome flows(const Invocation& invocation) {
  const auto oldest = invocation.number("oldest", 100, 1, kMostFlows);
  if (!oldest) return std::unexpected(oldest.error());
  std::string path = fmt::format("/api/v1/flows?limit={}", *oldest);
  for (const char* name : {"client", "service", "backend"}) {
    if (invocation.has(name)) path += fmt::format("&{}={}", name, path_segment(invocation.text(name)));
  }
  return show(invocation, path, [&](const json& answer) { return view_of_flows(answer, invocation.colours); });
}

}  // namespace

Command flows_command() {
  return {.name = "flows",
          .help =
              "Live connections, the oldest first: client, backend, age, idle time, phase, bytes of TCP payload "
              "(packets are not counted per flow)",
          .options = {{"client", "PREFIX", "Of this client: ADDRESS, ADDRESS:PORT or PREFIX/LENGTH"},
                      {"service", "SERVICE", "To this service"},
                      {"backend", "BACKEND", "On this backend: NAME, or POOL/NAME"},
                      {"oldest", "N", "Show the N oldest of those that match (default 100, at most 10000)"}},
          .run = flows};
}

}  // namespace sluice::ctl
