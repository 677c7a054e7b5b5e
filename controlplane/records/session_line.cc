// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/session_line.h"

#include <fmt/chrono.h>

#include <array>
#include <chrono>
#include <iterator>
#include <string_view>

#include "config/model.h"
#include "controlplane/records/ja4.h"

namespace sluice::control {

using channel::SessionNotes;
using channel::SessionRecord;

namespace {

/// In the order of SessionNotes::refused.
constexpr std::array<std::string_view, SessionNotes::kSteps> kRefusedSteps{"ehlo", "starttls", "auth", "mail",
                                                                           "rcpt", "data",     "other"};

/// Members of an object, each after a comma but for the first.
class Members {
 public:
  explicit Members(fmt::memory_buffer& out) : out_(out) {}

  void text(std::string_view name, std::string_view value) {
    begin(name);
    out_.push_back('"');
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x20 || byte >= 0x7f || c == '"' || c == '\\') {
        fmt::format_to(std::back_inserter(out_), "\\u{:04x}", byte);
      } else {
        out_.push_back(c);
      }
    }
    out_.push_back('"');
  }
  void number(std::string_view name, uint64_t value) {
    begin(name);
    fmt::format_to(std::back_inserter(out_), "{}", value);
  }
  void share(std::string_view name, double value) {
    begin(name);
    fmt::format_to(std::back_inserter(out_), "{}", value);
  }
  void truth(std::string_view name, bool value) { raw(name, value ? "true" : "false"); }
  /// RFC 3339, in UTC.
  void time(std::string_view name, int64_t unix_ms) {
    begin(name);
    const std::chrono::sys_time<std::chrono::milliseconds> at{std::chrono::milliseconds(unix_ms)};
    const auto second = std::chrono::floor<std::chrono::seconds>(at);
    fmt::format_to(std::back_inserter(out_), "\"{:%Y-%m-%dT%H:%M:%S}.{:03}Z\"",
                   fmt::gmtime(std::chrono::system_clock::to_time_t(second)), (at - second).count());
  }
  /// Begins an object; it is ended by close().
  Members object(std::string_view name) {
    begin(name);
    out_.push_back('{');
    return Members(out_);
  }
  void close() { out_.push_back('}'); }

 private:
  void begin(std::string_view name) {
    if (!first_) out_.push_back(',');
    first_ = false;
    out_.push_back('"');
    out_.append(name);
    out_.append(std::string_view("\":"));
  }
  void raw(std::string_view name, std::string_view value) {
    begin(name);
    out_.append(value);
  }

  fmt::memory_buffer& out_;
  bool first_ = true;
};

std::string address_text(const Address& address) {
  config::IpAddress out;
  out.bytes = address.bytes;
  return out.to_string();
}

void add_names(Members& out, const KnownSession& session) {
  if (session.service != nullptr) {
    out.text("service", session.service->name);
    out.text("vip", session.service->vip);
    out.number("port", session.service->port);
  }
  out.text("client", address_text(session.record.client.address));
  out.number("client_port", session.record.client.port.host());
  if (session.backend == nullptr) return;
  out.text("pool", session.backend->pool);
  out.text("backend", session.backend->name);
  out.text("backend_address", session.backend->address);
  out.number("backend_port", session.backend->port);
}

void add_times(Members& out, const SessionRecord& record, int64_t wall_offset_ms) {
  const SessionTimes times = times_of(record, wall_offset_ms);
  out.time("begun", times.begun_ms);
  out.number("duration_ms", static_cast<uint64_t>(times.ended_ms - times.begun_ms));
  if (record.notes.answered_after_ms != 0 || has(record, channel::kSessionWatched)) {
    out.number("connect_ms", record.notes.answered_after_ms);
  }
  if (!has(record, channel::kSessionWatched)) return;
  out.number("handshake_ms", record.notes.established_after_ms);
  if (record.notes.greeting_code != 0) out.number("greeting_ms", record.notes.greeted_after_ms);
}

void add_end(Members& out, const SessionRecord& record) {
  out.text("end", end_word(record));
  if (const auto by = by_word(record); !by.empty()) out.text("by", by);
  if (const auto cause = cause_word(record); !cause.empty()) out.text("cause", cause);
  out.truth("failed", went_wrong(record));
  out.truth("established", has(record, channel::kSessionEstablished));
  if (has(record, channel::kSessionAdopted)) out.truth("adopted", true);
}

void add_refusals(Members& out, const SessionNotes& notes) {
  const channel::LastRefusal last = notes.last_refusal();
  if (last.code == 0) return;
  Members refused = out.object("refused");
  for (size_t i = 0; i < kRefusedSteps.size(); i++) {
    if (notes.refused[i] != 0) refused.number(kRefusedSteps[i], notes.refused[i]);
  }
  refused.close();
  Members object = out.object("last_refusal");
  object.text("step", step_word(last.step));
  object.number("code", last.code);
  if (last.enhanced) object.text("enhanced", enhanced_code(last));
  object.close();
}

void add_tls(Members& out, const SessionRecord& record) {
  Members starttls = out.object("starttls");
  starttls.truth("offered", has(record, channel::kSessionStartTlsOffered));
  starttls.truth("asked", has(record, channel::kSessionStartTlsAsked));
  starttls.truth("refused", record.notes.refused[SessionNotes::place_of(channel::SmtpStep::kStartTls)] != 0);
  starttls.close();
  if (has(record, channel::kSessionTlsFailed)) {
    out.text("tls", "failed");
  } else if (has(record, channel::kSessionTlsEstablished)) {
    out.text("tls", "established");
  } else if (has(record, channel::kSessionTlsBegun)) {
    out.text("tls", "begun");
  }
}

void add_hello(Members& out, const ClientHello& hello) {
  if (!hello.server_name.empty()) out.text("sni", hello.server_name);
  out.text("tls_offered", version_text(hello.version));
  out.text("ja4", ja4(hello));
}

void add_packets(Members& out, const SessionRecord& record) {
  out.number("bytes_from_client", record.bytes_up);
  if (!record.one_way) out.number("bytes_from_backend", record.bytes_down);
  out.number("packets_from_client", record.packets_up);
  if (!record.one_way) out.number("packets_from_backend", record.packets_down);
  if (const uint32_t n = record.notes.sent_again(true); n != 0) out.number("sent_again_by_client", n);
  if (const uint32_t n = record.notes.sent_again(false); n != 0) out.number("sent_again_by_backend", n);
}

void add_dialogue(Members& out, const KnownSession& session) {
  const SessionRecord& record = session.record;
  const SessionNotes& notes = record.notes;
  if (notes.greeting_code != 0) out.number("greeting", notes.greeting_code);
  if (const auto furthest = furthest_word(notes); !furthest.empty()) out.text("furthest", furthest);
  Members messages = out.object("messages");
  messages.number("accepted", notes.messages_accepted);
  messages.number("temporary", notes.messages_temporary);
  messages.number("permanent", notes.messages_permanent);
  messages.close();
  add_refusals(out, notes);
  add_tls(out, record);
  if (session.hello != nullptr) add_hello(out, *session.hello);
  out.truth("quit", record.quit);
  if (has(record, channel::kSessionAuthAccepted)) out.truth("authenticated", true);
  if (has(record, channel::kSessionEarly)) out.truth("early_talker", true);
  if (has(record, channel::kSession421)) out.truth("put_off", true);
  if (has(record, channel::kSessionLostSight)) out.truth("lost_sight", true);
}

}  // namespace

void append_json(fmt::memory_buffer& out, const KnownSession& session, const LineStyle& style) {
  const SessionRecord& record = session.record;
  out.push_back('{');
  Members members(out);
  members.time("time", static_cast<int64_t>(record.ended_ms) + style.wall_offset_ms);
  members.text("node", style.node);
  members.number("worker", session.worker);
  add_names(members, session);
  if (const auto rule = rule_word(record); !rule.empty()) members.text("placed_by", rule);
  add_times(members, record, style.wall_offset_ms);
  add_packets(members, record);
  add_end(members, record);
  if (has(record, channel::kSessionWatched)) add_dialogue(members, session);
  if (style.share < 1 && !went_wrong(record)) members.share("share", style.share);
  members.close();
}

}  // namespace sluice::control
