// SPDX-License-Identifier: Apache-2.0
//
// The exchange with other nodes.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/tables.h"
#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

constexpr uint64_t kAwayMs = 5000;

uint64_t number(const json& object, const char* name) {
  return object.at(name).get<uint64_t>();
}

Cell heard(const json& peer) {
  if (peer.at("heard_ms_ago").is_null()) return {"never", Colour::kBad};
  const uint64_t ago_ms = number(peer, "heard_ms_ago");
  return {fmt::format("{:.1f} s ago", static_cast<double>(ago_ms) / 1000),
          ago_ms > kAwayMs ? Colour::kBad : Colour::kGood};
}

std::string view_of_peers(const json& peers, bool colours) {
  if (peers.is_null()) return "no exchange with other nodes: fleet.peers is not set, or the data plane is away\n";
  const json& dropped = peers.at("dropped");
  std::string out =
      fmt::format("known here: {} flows of other nodes, at most {}; taken over: {}\n", number(peers, "known_now"),
                  number(peers, "known_at_most"), number(peers, "flows_resumed"));
  out += fmt::format("told: {} flows and {} ends, in {} datagrams of {} bytes; {} changes too many\n",
                     number(peers, "flows_told"), number(peers, "ends_told"), number(peers, "datagrams_sent"),
                     number(peers, "bytes_sent"), number(peers, "tells_lost"));
  out += fmt::format("dropped: {} of strangers, {} forged, {} replayed, {} malformed\n\n", number(dropped, "stranger"),
                     number(dropped, "forged"), number(dropped, "replayed"), number(dropped, "malformed"));
  TextTable table({"PEER", "NODE", "HEARD", ">DATAGRAMS", ">FLOWS", ">ENDS", ">RESTARTS", ">SEND ERRORS"});
  for (const json& peer : peers.at("peers")) {
    const std::string node = printable(text_of(peer, "node"));
    table.add({text_of(peer, "at"), node.empty() ? "-" : node, heard(peer), std::to_string(number(peer, "datagrams")),
               std::to_string(number(peer, "flows_learned")), std::to_string(number(peer, "ends_learned")),
               std::to_string(number(peer, "restarts")), std::to_string(number(peer, "send_errors"))});
  }
  return out + table.to_string(colours);
}

}  // namespace

Command peers_command() {
  return {.name = "peers",
          .help = "Other nodes with which sessions are exchanged, and what they told",
          .run = [](const Invocation& invocation) {
            return show(invocation, "/api/v1/peers",
                        [&](const json& answer) { return view_of_peers(answer.at("peers"), invocation.colours); });
          }};
}

}  // namespace sluice::ctl
