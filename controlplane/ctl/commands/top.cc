// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/screen.h"
#include "controlplane/ctl/tables.h"

namespace sluice::ctl {

namespace {

using nlohmann::json;

/// Services and backends in one answer, the busiest backends first.
Client::Answer rates(const Client& client) {
  auto services = client.get("/api/v1/services");
  if (!services) return services;
  auto backends = client.get("/api/v1/backends");
  if (!backends) return backends;
  std::vector<json> sorted = backends->at("backends");
  const auto new_flows = [](const json& backend) {
    const json& known = backend.at("rates");
    const json value = known.is_null() ? json() : known.at("new_flows_per_s");
    return value.is_null() ? 0.0 : value.get<double>();
  };
  std::ranges::stable_sort(sorted, std::ranges::greater(), new_flows);
  return json{{"time", services->at("time")}, {"services", services->at("services")}, {"backends", sorted}};
}

std::string view(const json& answer, bool colours) {
  const Look look{text_of(answer, "time"), colours};
  return rates_table("SERVICE", answer.at("services"), look) + "\n" +
         rates_table("BACKEND", answer.at("backends"), look);
}

/// What the screen shows: the rates, or why there are none just now.
std::string page(const Client::Answer& answer, bool colours) {
  if (!answer) return answer.error().text + "\n";
  return fmt::format("{}   q ends\n\n{}", text_of(*answer, "time"), view(*answer, colours));
}

Outcome run_screen(const Invocation& invocation, const Client& client, std::chrono::seconds interval) {
  if (const auto first = rates(client); !first) return std::unexpected(first.error());
  Screen screen;
  do {
    screen.draw(page(rates(client), invocation.colours));
  } while (!screen.wait(interval));
  return {};
}

/// An object a line, for as long as someone reads them.
Outcome run_lines(const Invocation& invocation, const Client& client, std::chrono::seconds interval) {
  while (invocation.out()) {
    const auto answer = rates(client);
    if (!answer) return std::unexpected(answer.error());
    invocation.out() << answer->dump() << '\n' << std::flush;
    std::this_thread::sleep_for(interval);
  }
  return {};
}

Outcome run_once(const Invocation& invocation, const Client& client) {
  const auto answer = rates(client);
  if (!answer) return std::unexpected(answer.error());
  return show_answer(invocation, *answer, [&](const json& each) { return view(each, invocation.colours); });
}

Outcome run(const Invocation& invocation) {
  const auto interval = invocation.number("interval", 1, 1, 3600);
  if (!interval) return std::unexpected(interval.error());
  const auto client = invocation.client();
  if (!client) return std::unexpected(client.error());
  const std::chrono::seconds pause(*interval);
  if (invocation.has("once") || (!invocation.terminal && !invocation.json)) return run_once(invocation, *client);
  return invocation.json ? run_lines(invocation, *client, pause) : run_screen(invocation, *client, pause);
}

}  // namespace

Command top_command() {
  return {.name = "top",
          .help = "Rates of every service and backend, again and again; q ends",
          .options = {{.name = "once", .value = "", .help = "one table, as where there is no terminal"},
                      {.name = "interval", .value = "N", .help = "seconds between two tables (1)"}},
          .run = run};
}

}  // namespace sluice::ctl
