// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/interruption.h"
#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

constexpr int kPollMs = 100, kBusyPollMs = 10;
constexpr uint64_t kMostSessions = 2000;

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return "-";
  return found->is_string() ? printable(found->get<std::string>()) : found->dump();
}

std::string endpoint_of(const json& session, const char* address, const char* port) {
  std::string host = text_of(session, address);
  if (host == "-") return host;
  const std::string number = text_of(session, port);
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, number)
                                             : fmt::format("[{}]:{}", host, number);
}

std::string end_of(const json& session) {
  std::string out = text_of(session, "end");
  if (session.contains("by")) out += " by " + text_of(session, "by");
  if (session.contains("cause")) out += ", " + text_of(session, "cause");
  if (session.contains("limit")) out += " " + text_of(session, "limit");
  if (session.contains("blocked_prefix"))
    out += fmt::format(" {} by {}", text_of(session, "blocked_prefix"), text_of(session, "blocked_by"));
  return out;
}

std::string dialogue_of(const json& session) {
  std::string out = text_of(session, "greeting");
  if (session.contains("furthest")) out += " " + text_of(session, "furthest");
  if (session.contains("tls")) out += " tls " + text_of(session, "tls");
  const auto last = session.find("last_refusal");
  if (last == session.end()) return out;
  out += fmt::format(", {} {}", text_of(*last, "step"), text_of(*last, "code"));
  return last->contains("enhanced") ? out + " " + text_of(*last, "enhanced") : out;
}

std::string accepted_of(const json& session) {
  const auto messages = session.find("messages");
  return messages == session.end() ? "-" : text_of(*messages, "accepted");
}

/// From the client and from the backend.
std::string both_of(const json& session, const char* from_client, const char* from_backend) {
  return text_of(session, from_client) + "/" + text_of(session, from_backend);
}

/// A line for each, as they come.
std::string line_of(const json& session, bool verbose) {
  std::string more;
  if (verbose) {
    more = fmt::format("; packets {}, again {}, sni {}, tls {}, ja4 {}",
                       both_of(session, "packets_from_client", "packets_from_backend"),
                       both_of(session, "sent_again_by_client", "sent_again_by_backend"), text_of(session, "sni"),
                       text_of(session, "tls_offered"), text_of(session, "ja4"));
  }
  return fmt::format("{} {} {} > {}  {} ms, {} accepted, {}; {}{}{}\n", text_of(session, "time"),
                     text_of(session, "service"), endpoint_of(session, "client", "client_port"),
                     text_of(session, "backend"), text_of(session, "duration_ms"), accepted_of(session),
                     dialogue_of(session), end_of(session), more, session.at("failed").get<bool>() ? "  FAILED" : "");
}

/// What goes over the wire, and what the client said when it began TLS.
std::string view_of_wire(const json& answer, bool colours) {
  TextTable table({"ENDED", "CLIENT", "BACKEND", ">BYTES", ">PACKETS", ">AGAIN", "SNI", "TLS", "JA4", "END"});
  for (const json& session : answer.at("sessions")) {
    const bool failed = session.at("failed").get<bool>();
    table.add({text_of(session, "time"), endpoint_of(session, "client", "client_port"), text_of(session, "backend"),
               both_of(session, "bytes_from_client", "bytes_from_backend"),
               both_of(session, "packets_from_client", "packets_from_backend"),
               both_of(session, "sent_again_by_client", "sent_again_by_backend"), text_of(session, "sni"),
               text_of(session, "tls_offered"), text_of(session, "ja4"),
               Cell{end_of(session), failed ? Colour::kBad : Colour::kNone}});
  }
  return table.to_string(colours);
}

std::string view_of_sessions(const json& answer, bool colours) {
  TextTable table({"ENDED", "CLIENT", "SERVICE", "BACKEND", ">MS", ">MESSAGES", "DIALOGUE", "END"});
  for (const json& session : answer.at("sessions")) {
    const bool failed = session.at("failed").get<bool>();
    table.add({text_of(session, "time"), endpoint_of(session, "client", "client_port"), text_of(session, "service"),
               text_of(session, "backend"), text_of(session, "duration_ms"), accepted_of(session), dialogue_of(session),
               Cell{end_of(session), failed ? Colour::kBad : Colour::kNone}});
  }
  return table.to_string(colours);
}

std::string path_of(const Invocation& invocation, uint64_t limit) {
  std::string out = fmt::format("/api/v1/sessions?limit={}", limit);
  if (invocation.has("client")) out += "&client=" + path_segment(invocation.text("client"));
  if (invocation.has("failed")) out += "&failed=1";
  return out;
}

/// Shows what an answer tells of sessions that have ended since the last one. Returns whether there are more than that.
bool tell(const Invocation& invocation, const json& answer) {
  for (const json& session : answer.at("sessions")) {
    invocation.out() << (invocation.json ? session.dump() + "\n" : line_of(session, invocation.has("verbose")));
  }
  const auto missed = answer.at("missed").get<uint64_t>();
  if (missed != 0) {
    invocation.out() << (invocation.json ? json{{"missed", missed}}.dump()
                                         : fmt::format("{} came too fast to be shown", missed))
                     << '\n';
  }
  invocation.out().flush();
  return missed != 0 || answer.at("sessions").size() == kMostSessions;
}

Outcome follow(const Invocation& invocation, const Client& client) {
  const Interruption interruption;
  const std::string path = path_of(invocation, kMostSessions);
  auto answer = client.get(path_of(invocation, 1));
  bool behind = false;
  while (answer && invocation.out() && !interruption.raised()) {
    interruption.wait(behind ? kBusyPollMs : kPollMs);
    answer = client.get(fmt::format("{}&after={}", path, answer->at("next").get<uint64_t>()));
    if (answer) behind = tell(invocation, *answer);
  }
  if (!answer) return std::unexpected(answer.error());
  return {};
}

Outcome sessions(const Invocation& invocation) {
  const auto limit = invocation.number("limit", 50, 1, kMostSessions);
  if (!limit) return std::unexpected(limit.error());
  if (!invocation.has("follow")) {
    return show(invocation, path_of(invocation, *limit), [&](const json& answer) {
      return invocation.has("verbose") ? view_of_wire(answer, invocation.colours)
                                       : view_of_sessions(answer, invocation.colours);
    });
  }
  const auto client = invocation.client();
  if (!client) return std::unexpected(client.error());
  try {
    return follow(invocation, *client);
  } catch (const json::exception&) {
    return std::unexpected(Failure{
        Exit::kFailed, "control's answer has another form than this sluicectl knows; use the one of its version"});
  }
}

}  // namespace

Command sessions_command() {
  return {
      .name = "sessions",
      .help =
          "Sessions that ended lately, the newest last: client, backend, how far the dialogue came, how it "
          "ended; whether they are written down or not",
      .options = {{"follow", "",
                   "Those that end from now on, as they do; where they come faster than they can be shown, how many "
                   "were left out (with --json: {\"missed\": N})"},
                  {"client", "PREFIX", "Of this client: ADDRESS, ADDRESS:PORT or PREFIX/LENGTH"},
                  {"failed", "", "Only those in which something went wrong"},
                  {"verbose", "",
                   "Bytes, packets and what was sent again, from the client and from the backend; the name, TLS "
                   "version and JA4 fingerprint of the ClientHello"},
                  {"limit", "N", "The newest N (default 50, at most 2000)"}},
      .run = sessions};
}

}  // namespace sluice::ctl
