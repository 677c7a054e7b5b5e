// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/interruption.h"
#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

constexpr int kPollMs = 100;

std::string text_of(const json& object, const char* name) {
  const json& value = object.at(name);
  if (value.is_null()) return "unknown";
  return value.is_string() ? printable(value.get<std::string>()) : value.dump();
}

std::string frame_words(const json& record) {
  std::string out =
      fmt::format("{:<8} {} > {}", text_of(record, "port"), text_of(record, "source"), text_of(record, "destination"));
  if (!record.contains("flags"))
    return out + fmt::format("  {} bytes of IP, no TCP segment", text_of(record, "ip_bytes"));
  return out + fmt::format("  {}  seq {} ack {}, {} bytes", text_of(record, "flags"), text_of(record, "sequence"),
                           text_of(record, "ack"), text_of(record, "payload_bytes"));
}

std::string flow_words(const json& record) {
  return fmt::format("service {}, backend {}, {}, SMTP {}", text_of(record, "service"), text_of(record, "backend"),
                     text_of(record, "state"), text_of(record, "smtp_phase"));
}

std::string words_of(const json& record) {
  const std::string stage = text_of(record, "stage");
  if (stage == "received" || stage == "sent" || stage == "made") return frame_words(record);
  if (stage == "found") return flow_words(record) + fmt::format(", {} ms old", text_of(record, "age_ms"));
  if (stage == "placed") return flow_words(record) + ": " + text_of(record, "rule");
  if (stage == "counted") return text_of(record, "counter") + ": " + text_of(record, "meaning");
  return "no flow";
}

/// One line for each record; a packet's first has its time and number.
class TraceView {
 public:
  std::string line(const json& record) {
    const auto time_ns = record.at("time_ns").get<uint64_t>();
    if (begin_ns_ == 0) begin_ns_ = time_ns;
    std::string head;
    if (text_of(record, "stage") == "received") {
      const double seconds = time_ns < begin_ns_ ? 0 : static_cast<double>(time_ns - begin_ns_) / 1e9;
      head = fmt::format("{:.6f} {}.{}", seconds, text_of(record, "worker"), text_of(record, "packet"));
    }
    return fmt::format("{:<18} {:<9} {}\n", head, text_of(record, "stage"), words_of(record));
  }

 private:
  uint64_t begin_ns_ = 0;
};

void write_records(const Invocation& invocation, const json& answer, TraceView& view) {
  for (const json& record : answer.at("records")) {
    invocation.out() << (invocation.json ? record.dump() + "\n" : view.line(record));
  }
  invocation.out().flush();
}

Outcome follow(const Invocation& invocation, const Client& client, const json& begun) {
  const std::string path = "/api/v1/traces/" + begun.at("id").dump();
  const Interruption interruption;
  TraceView view;
  uint64_t next = 0;
  for (bool told = false;;) {
    const auto answer = client.get(fmt::format("{}?after={}", path, next));
    if (!answer) return std::unexpected(answer.error());
    write_records(invocation, *answer, view);
    next = answer->at("next").get<uint64_t>();
    const bool is_over = text_of(*answer, "state") == "ended";
    if (is_over && answer->at("records").empty()) {
      if (!invocation.json) {
        invocation.out() << fmt::format("{} packets, {} skipped, {} records lost; {}\n", text_of(*answer, "packets"),
                                        text_of(*answer, "skipped"), text_of(*answer, "lost"),
                                        text_of(*answer, "reason"));
      }
      (void)client.remove(path);
      return {};
    }
    if (is_over) continue;
    if (interruption.raised() && !told) {
      told = true;
      if (const auto stopped = client.remove(path); !stopped) return std::unexpected(stopped.error());
      continue;
    }
    interruption.wait(kPollMs);
  }
}

Outcome trace(const Invocation& invocation) {
  const auto seconds = invocation.seconds("seconds", 30, 3600);
  if (!seconds) return std::unexpected(seconds.error());
  const auto packets = invocation.number("packets", 1000, 1, 10'000'000);
  if (!packets) return std::unexpected(packets.error());
  json body{{"client", invocation.text("CLIENT")}, {"seconds", *seconds}, {"packets", *packets}};
  for (const char* name : {"service", "backend"}) {
    if (invocation.has(name)) body[name] = invocation.text(name);
  }
  const auto client = invocation.client();
  if (!client) return std::unexpected(client.error());
  const auto begun = client->post("/api/v1/traces", body);
  if (!begun) return std::unexpected(begun.error());
  try {
    return follow(invocation, *client, *begun);
  } catch (const json::exception&) {
    return std::unexpected(Failure{
        Exit::kFailed, "control's answer has another form than this sluicectl knows; use the one of its version"});
  }
}

}  // namespace

Command trace_command() {
  return {.name = "trace",
          .help =
              "What is decided about a client's packets, as they come: received, flow, placed by which rule, sent "
              "where, or dropped and why; never what is in them",
          .arguments = {{"CLIENT", "ADDRESS, ADDRESS:PORT, [V6]:PORT or PREFIX/LENGTH"}},
          .options = {{"seconds", "N", "For this long (default 30, at most 3600)"},
                      {"packets", "N", "At most so many of each worker (default 1000)"},
                      {"service", "SERVICE", "Only to this service"},
                      {"backend", "BACKEND", "Only on this backend"}},
          .run = trace};
}

}  // namespace sluice::ctl
