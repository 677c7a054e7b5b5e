// SPDX-License-Identifier: Apache-2.0
//
// Backends by hand: drain, disable, enable, weight, pool, clear.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/commands/consent.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

constexpr uint64_t kLongestDeadlineS = 30 * 86400;
constexpr uint64_t kMaxWeight = 65535;
constexpr uint64_t kShortestDrainS = 60;  // in less, sessions do not get to hear of it (model/leaving.h): a cut
constexpr std::chrono::milliseconds kLookEvery{500};

const Option kDeadline{"deadline", "TIME",
                       "Cut what is still open after this time (90s, 10m, 2h), and tell sessions 421 between messages "
                       "before; never without"};
const Option kWait{"wait", "", "Wait until no flow is left, or the deadline has passed, and show progress"};
const Option kClear{"clear", "", "Back to what the file says"};
const Option kFleet{"fleet", "", "On all nodes that share an etcd, and on those that come later"};

/// One look at the entries of `names`: open flows of those that drain still, and flows that were cut.
struct Look {
  uint64_t flows = 0;
  uint64_t cut = 0;
  uint64_t told = 0;       // 421 between messages, since the data plane has known the backend
  bool is_counted = true;  // the data plane said how many
  bool is_draining = false;
  bool is_gone = false;  // one was enabled meanwhile
};

Look look_at(const json& answer, const std::vector<std::string>& names, bool fleet) {
  Look out;
  for (const std::string& name : names) {
    const json& entries = answer.at("by_hand");
    const auto entry = std::ranges::find_if(entries, [&](const json& each) {
      return each.at("backend").get<std::string>() == name && each.at("fleet").is_null() != fleet;
    });
    if (entry == entries.end() || entry->at("admin") == "enabled") {
      out.is_gone = true;
      continue;
    }
    out.cut += entry->at("flows_cut").get<uint64_t>();
    if (const json& told = entry->at("flows_told"); !told.is_null()) out.told += told.get<uint64_t>();
    if (entry->at("admin") != "draining") continue;
    out.is_draining = true;
    if (entry->at("flows_now").is_null())
      out.is_counted = false;
    else
      out.flows += entry->at("flows_now").get<uint64_t>();
  }
  return out;
}

/// Until nothing is left of what `names` drain. Progress goes out as it changes.
Outcome wait_until_drained(const Invocation& invocation, const Client& client, const std::vector<std::string>& names) {
  std::string shown;
  std::optional<uint64_t> told_before;
  for (;; std::this_thread::sleep_for(kLookEvery)) {
    const auto answer = client.get("/api/v1/by-hand");
    if (!answer) return std::unexpected(answer.error());
    const Look look = look_at(*answer, names, invocation.has("fleet"));
    if (look.is_gone) return std::unexpected(Failure{Exit::kFailed, "enabled by someone else meanwhile"});
    if (!told_before) told_before = look.told;
    const uint64_t told = look.told - std::min(look.told, *told_before);
    if (!look.is_draining || (look.is_counted && look.flows == 0)) {
      if (invocation.json)
        invocation.out() << json{{"backends", names}, {"flows_cut", look.cut}, {"flows_told", told}}.dump(2) << "\n";
      if (look.cut == 0) {
        if (!invocation.json) invocation.out() << "drained\n";
        return {};
      }
      return std::unexpected(Failure{Exit::kUnfinished, fmt::format("{} flows cut at the deadline", look.cut)});
    }
    std::string words = fmt::format("{} flows left", look.flows);
    if (told != 0) words += fmt::format(", {} told 421 between messages", told);
    if (invocation.json || !look.is_counted || words == shown) continue;
    shown = std::move(words);
    invocation.out() << shown << "\n" << std::flush;
  }
}

std::optional<uint64_t> flows_in(const json& foretold) {
  const json& flows = foretold.at("flows_now");
  return flows.is_null() ? std::nullopt : std::optional(flows.get<uint64_t>());
}

/// What `body` asks for, without doing it.
Client::Answer foretell(const Client& client, json body) {
  body["dry_run"] = true;
  return client.post("/api/v1/by-hand", body);
}

bool is_hasty(const json& body) {
  return body.value("deadline_s", kShortestDrainS) < kShortestDrainS;
}

bool cuts(const json& body) {
  return body.at("action") == "disable" || is_hasty(body);
}

/// "disabling mta/mta1 on all nodes".
std::string words_for_change(const Invocation& invocation, const json& body, const std::vector<std::string>& names) {
  std::string out = fmt::format("{} {}", is_hasty(body) ? "draining" : "disabling", fmt::join(names, ", "));
  if (invocation.has("fleet")) out += " on all nodes";
  if (is_hasty(body)) out += fmt::format(" within {} s", body.at("deadline_s").get<uint64_t>());
  return out;
}

Outcome show_foretold(const Invocation& invocation, const json& body, const json& foretold) {
  return show_answer(invocation, foretold, [&](const json& answer) {
    const auto action = body.at("action").get<std::string>();
    const auto flows = flows_in(answer);
    const bool fleet = invocation.has("fleet");
    const std::string open =
        flows ? fmt::format("{} sessions are open there", *flows) : "how many sessions are open there is not known";
    return fmt::format(
        "would {}: {}{}; {}\n", action, fmt::join(answer.at("backends").get<std::vector<std::string>>(), ", "),
        fleet ? ", on all nodes" : "", cuts(body) ? words_for({flows, fleet}) : open + (fleet ? " on this node" : ""));
  });
}

/// Sends a change and tells how it went.
Outcome change(const Invocation& invocation, json body) {
  if (invocation.has("fleet")) body["fleet"] = true;
  const auto client = invocation.client();
  if (!client) return std::unexpected(client.error());
  if (invocation.has(kDryRun.name) || (cuts(body) && may_ask(invocation))) {
    const auto foretold = foretell(*client, body);
    if (!foretold) return std::unexpected(foretold.error());
    if (invocation.has(kDryRun.name)) return show_foretold(invocation, body, *foretold);
    const auto names = foretold->at("backends").get<std::vector<std::string>>();
    const Cut cut{flows_in(*foretold), invocation.has("fleet")};
    if (auto agreed = consent(invocation, words_for_change(invocation, body, names), cut); !agreed) return agreed;
  }
  const auto answer = client->post("/api/v1/by-hand", body);
  if (!answer) return std::unexpected(answer.error());
  const bool waits = invocation.has("wait");
  const auto names = answer->value("backends", std::vector<std::string>());
  const auto warning = answer->value("warning", std::string());
  if (!waits || !warning.empty()) {
    const auto shown = show_answer(invocation, *answer, [&](const json&) {
      std::string out = fmt::format("{}: {}{}\n", body.at("action").get<std::string>(), fmt::join(names, ", "),
                                    invocation.has("fleet") ? ", on all nodes" : "");
      return warning.empty() ? out : out + "warning: " + warning + "\n";
    });
    if (!shown || !waits) return shown;
  }
  return wait_until_drained(invocation, *client, names);
}

/// `body` with the deadline, if one is given.
std::expected<json, Failure> with_deadline(const Invocation& invocation, json body) {
  const auto deadline = invocation.seconds("deadline", 0, kLongestDeadlineS);
  if (!deadline) return std::unexpected(deadline.error());
  if (invocation.has("deadline")) body["deadline_s"] = *deadline;
  return body;
}

std::expected<json, Failure> with_weight(const Invocation& invocation, const std::string& argument, json body) {
  body["weight"] = nullptr;
  if (invocation.has(argument) == invocation.has("clear")) {
    return std::unexpected(Failure{Exit::kUsage, "give a weight, or --clear for the configured one"});
  }
  if (invocation.has("clear")) return body;
  const auto weight = invocation.number(argument, 0, 0, kMaxWeight);
  if (!weight) return std::unexpected(weight.error());
  body["weight"] = *weight;
  return body;
}

Outcome change_with(const Invocation& invocation, const std::expected<json, Failure>& body) {
  if (!body) return std::unexpected(body.error());
  return change(invocation, *body);
}

Outcome drain(const Invocation& invocation) {
  return change_with(invocation,
                     with_deadline(invocation, {{"action", "drain"}, {"backend", invocation.text("BACKEND")}}));
}

Outcome set_weight(const Invocation& invocation) {
  return change_with(invocation,
                     with_weight(invocation, "N", {{"action", "weight"}, {"backend", invocation.text("BACKEND")}}));
}

Outcome change_pool(const Invocation& invocation) {
  const std::string action = invocation.text("ACTION");
  const json body{{"action", action}, {"pool", invocation.text("POOL")}};
  if (action == "weight") return change_with(invocation, with_weight(invocation, "N", body));
  if (invocation.has("N")) return std::unexpected(Failure{Exit::kUsage, "N is of \"weight\""});
  if (action == "drain") return change_with(invocation, with_deadline(invocation, body));
  if (action == "disable" || action == "enable" || action == "clear") return change(invocation, body);
  return std::unexpected(Failure{Exit::kUsage, "ACTION: allowed: drain, disable, enable, weight, clear"});
}

Outcome clear(const Invocation& invocation) {
  if (invocation.has("BACKEND") == invocation.has("all")) {
    return std::unexpected(Failure{Exit::kUsage, "give a backend, or --all"});
  }
  json body{{"action", "clear"}};
  if (invocation.has("all"))
    body["all"] = true;
  else
    body["backend"] = invocation.text("BACKEND");
  return change(invocation, body);
}

Argument backend_argument() {
  return {.name = "BACKEND", .help = "POOL/BACKEND, or BACKEND where it is the only one; :PORT for one of its ports"};
}

}  // namespace

Command drain_command() {
  return {.name = "drain",
          .help = "Give a backend no new flows, and let its open ones end",
          .arguments = {backend_argument()},
          .options = {kDeadline, kWait, kFleet, kDryRun, kYes},
          .run = drain};
}

Command disable_command() {
  return {.name = "disable",
          .help = "Give a backend no new flows, and cut its open ones now",
          .arguments = {backend_argument()},
          .options = {kFleet, kDryRun, kYes},
          .run = [](const Invocation& invocation) {
            return change(invocation, {{"action", "disable"}, {"backend", invocation.text("BACKEND")}});
          }};
}

Command enable_command() {
  return {.name = "enable",
          .help = "Give a drained or disabled backend flows again",
          .arguments = {backend_argument()},
          .options = {kFleet},
          .run = [](const Invocation& invocation) {
            return change(invocation, {{"action", "enable"}, {"backend", invocation.text("BACKEND")}});
          }};
}

Command weight_command() {
  return {.name = "weight",
          .help = "Give a backend another weight than the file's",
          .arguments = {backend_argument(), {.name = "N", .help = "0 to 65535", .required = false}},
          .options = {kClear, kFleet},
          .run = set_weight};
}

Command pool_command() {
  return {.name = "pool",
          .help = "Drain, disable, enable, weight or clear all backends of a pool",
          .arguments = {{.name = "POOL", .help = "Its name"},
                        {.name = "ACTION", .help = "drain, disable, enable, weight or clear"},
                        {.name = "N", .help = "The weight", .required = false}},
          .options = {kDeadline, kWait, kClear, kFleet, kDryRun, kYes},
          .run = change_pool};
}

Command clear_command() {
  Argument backend = backend_argument();
  backend.required = false;
  return {.name = "clear",
          .help = "Take back what was changed by hand",
          .arguments = {backend},
          .options = {{"all", "", "Of every backend"}, kFleet},
          .run = clear};
}

}  // namespace sluice::ctl
