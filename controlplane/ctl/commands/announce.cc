// SPDX-License-Identifier: Apache-2.0
//
// What the network is told: announce, node.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/tables.h"
#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

constexpr uint64_t kLongestDeadlineS = 30 * 86400;
constexpr std::chrono::milliseconds kLookEvery{500};

Colour colour_of(const std::string& state) {
  return state == "announced" ? Colour::kGood : state == "draining" ? Colour::kCaution : Colour::kBad;
}

std::string pending_words(const json& pending, const std::string& now) {
  if (pending.is_null()) return "-";
  return fmt::format("{} in {}", text_of(pending, "to"), time_between(now, text_of(pending, "at")));
}

std::string flows_words(const json& node) {
  const json& flows = node.at("flows_now");
  return flows.is_null() ? "the data plane does not say how many sessions are open"
                         : fmt::format("{} sessions open", flows.get<uint64_t>());
}

/// "new sessions come still, 12 sessions open".
std::string drain_words(const json& node) {
  const std::string phase = text_of(node, "phase");
  const std::string_view news = phase == "draining" ? "new sessions come still"
                                : phase == "out"    ? "withdrawn at its deadline"
                                                    : "new sessions have ceased";
  return fmt::format("{}, {}{}", news, flows_words(node),
                     node.at("leaving").get<bool>() ? ", and they are told 421 between messages" : "");
}

std::string node_line(const json& node, const std::string& now) {
  if (text_of(node, "phase") == "serving") return "node: serving\n";
  std::string out =
      fmt::format("node: draining for {}: {}", time_between(text_of(node, "since"), now), drain_words(node));
  const json& deadline = node.at("deadline");
  if (!deadline.is_null() && text_of(node, "phase") != "out")
    out += "; VIPs are withdrawn at " + text_of(node, "deadline");
  return out + "\n";
}

std::string mode_line(const json& answer) {
  const std::string mode = text_of(answer, "mode");
  const auto protocol = answer.at("protocol").get<uint32_t>();
  if (mode == "none") return "mode: none: the network is told nothing; the states are those of /readyz?vip=ADDRESS\n";
  if (mode == "address") return fmt::format("mode: address, protocol {}\n", protocol);
  return fmt::format("mode: {}, table {}, protocol {}\n", mode, answer.at("table").get<uint32_t>(), protocol);
}

std::string view_of_announcement(const json& answer, bool colours) {
  const std::string now = text_of(answer, "time");
  std::string out = mode_line(answer);
  out += node_line(answer.at("node"), now);
  if (const std::string fault = text_of(answer, "fault"); !fault.empty()) out += "REFUSED: " + fault + "\n";
  TextTable table({"VIP", "STATE", ">METRIC", ">FOR", "NEXT", "REASON"});
  for (const json& vip : answer.at("vips")) {
    const json& metric = vip.at("metric");
    table.add({text_of(vip, "vip"), Cell(text_of(vip, "state"), colour_of(text_of(vip, "state"))),
               metric.is_null() ? "-" : std::to_string(metric.get<uint32_t>()),
               time_between(text_of(vip, "since"), now), pending_words(vip.at("pending"), now),
               text_of(vip, "reason")});
  }
  return out + "\n" + table.to_string(colours);
}

/// Until new sessions have ceased; and if there is a deadline, until no session is left or it is over. Progress goes
/// out as it changes.
Outcome wait_until_empty(const Invocation& invocation, const Client& client) {
  std::string told;
  for (;; std::this_thread::sleep_for(kLookEvery)) {
    const auto answer = client.get("/api/v1/announce");
    if (!answer) return std::unexpected(answer.error());
    const json& node = answer->at("node");
    const std::string phase = text_of(node, "phase");
    if (phase == "serving") return std::unexpected(Failure{Exit::kFailed, "undrained by someone else meanwhile"});
    const std::string words = drain_words(node);
    if (!invocation.json && words != told) invocation.out() << words << "\n" << std::flush;
    told = words;
    const bool is_over = phase == "empty" || phase == "out" || (phase == "quiet" && node.at("deadline").is_null());
    if (!is_over) continue;
    if (invocation.json) invocation.out() << node.dump(2) << "\n";
    const json& flows = node.at("flows_now");
    if (phase == "out" && !flows.is_null() && flows.get<uint64_t>() > 0)
      return std::unexpected(Failure{Exit::kUnfinished, "at the deadline " + flows_words(node)});
    return {};
  }
}

Outcome change_node(const Invocation& invocation) {
  const std::string action = invocation.text("ACTION");
  if (action != "drain" && action != "undrain")
    return std::unexpected(Failure{Exit::kUsage, "ACTION: allowed: drain, undrain"});
  json body{{"action", action}};
  const auto deadline = invocation.seconds("deadline", 0, kLongestDeadlineS);
  if (!deadline) return std::unexpected(deadline.error());
  if (invocation.has("deadline")) body["deadline_s"] = *deadline;
  const bool waits = invocation.has("wait");
  if (action == "undrain" && (waits || invocation.has("deadline")))
    return std::unexpected(Failure{Exit::kUsage, "--deadline and --wait are of \"drain\""});
  const auto client = invocation.client();
  if (!client) return std::unexpected(client.error());
  const auto answer = client->post("/api/v1/node", body);
  if (!answer) return std::unexpected(answer.error());
  const std::string warning = text_of(*answer, "warning");
  if (!waits || !warning.empty()) {
    const auto shown = show_answer(invocation, *answer, [&](const json&) {
      return action == "drain"
                 ? fmt::format("the node drains\n{}", warning.empty() ? "" : "warning: " + warning + "\n")
                 : fmt::format("the node serves\n{}", warning.empty() ? "" : "warning: " + warning + "\n");
    });
    if (!shown || !waits) return shown;
  }
  return wait_until_empty(invocation, *client);
}

}  // namespace

Command announce_command() {
  return {.name = "announce",
          .help = "Which VIPs the network is told of, as what, and why",
          .run = [](const Invocation& invocation) {
            return show(invocation, "/api/v1/announce",
                        [&](const json& answer) { return view_of_announcement(answer, invocation.colours); });
          }};
}

Command node_command() {
  return {.name = "node",
          .help = "Drain this node, so that routers prefer others, or undrain it",
          .arguments = {{.name = "ACTION", .help = "drain or undrain"}},
          .options = {{"deadline", "TIME",
                       "Withdraw its VIPs after this time (90s, 10m, 2h), and tell sessions 421 between messages "
                       "before; never without"},
                      {"wait", "",
                       "Wait until new sessions have ceased, and show progress; with a deadline, until no session is "
                       "left or it is over"}},
          .run = change_node};
}

}  // namespace sluice::ctl
