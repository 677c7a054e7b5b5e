// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/session_line.h"

#include <array>
#include <charconv>
#include <string_view>

#include "config/model.h"
#include "controlplane/records/ja4.h"
#include "controlplane/records/json_members.h"

namespace sluice::control {

using channel::SessionNotes;
using channel::SessionRecord;

namespace {

/// In the order of SessionNotes::refused.
constexpr std::array<std::string_view, SessionNotes::kSteps> kRefusedSteps{"ehlo", "starttls", "auth", "mail",
                                                                           "rcpt", "data",     "other"};

void add_address(JsonMembers& out, std::string_view name, const Address& address) {
  if (!address.is_v4()) {
    config::IpAddress text;
    text.bytes = address.bytes;
    return out.text(name, text.to_string());
  }
  std::array<char, sizeof("255.255.255.255")> text;
  char* end = text.data();
  for (size_t i = 12; i < address.bytes.size(); i++) {
    if (i != 12) *end++ = '.';
    end = std::to_chars(end, text.end(), address.bytes[i]).ptr;
  }
  out.text(name, {text.data(), end});
}

void add_names(JsonMembers& out, const KnownSession& session) {
  if (session.service != nullptr) {
    out.text("service", session.service->name);
    out.text("vip", session.service->vip);
    out.number("port", session.service->port);
  }
  add_address(out, "client", session.record.client.address);
  out.number("client_port", session.record.client.port.host());
  if (session.backend == nullptr) return;
  out.text("pool", session.backend->pool);
  out.text("backend", session.backend->name);
  out.text("backend_address", session.backend->address);
  out.number("backend_port", session.backend->port);
}

void add_times(JsonMembers& out, const SessionRecord& record, int64_t wall_offset_ms) {
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

void add_end(JsonMembers& out, const KnownSession& session) {
  const SessionRecord& record = session.record;
  out.text("end", end_word(record));
  if (const auto by = by_word(record); !by.empty()) out.text("by", by);
  if (const auto cause = cause_word(record); !cause.empty()) out.text("cause", cause);
  if (const uint8_t limit = limit_number(record); limit != 0) out.number("limit", limit);
  if (session.block != nullptr) {
    out.text("blocked_prefix", session.block->prefix);
    out.text("blocked_by", session.block->by);
  }
  out.truth("failed", went_wrong(record));
  out.truth("established", has(record, channel::kSessionEstablished));
  if (has(record, channel::kSessionAdopted)) out.truth("adopted", true);
}

void add_refusals(JsonMembers& out, const SessionNotes& notes) {
  const channel::LastRefusal last = notes.last_refusal();
  if (last.code == 0) return;
  JsonMembers refused = out.object("refused");
  for (size_t i = 0; i < kRefusedSteps.size(); i++) {
    if (notes.refused[i] != 0) refused.number(kRefusedSteps[i], notes.refused[i]);
  }
  refused.close();
  JsonMembers object = out.object("last_refusal");
  object.text("step", step_word(last.step));
  object.number("code", last.code);
  if (last.enhanced) object.text("enhanced", enhanced_code(last));
  object.close();
}

void add_tls(JsonMembers& out, const SessionRecord& record) {
  JsonMembers starttls = out.object("starttls");
  starttls.truth("offered", has(record, channel::kSessionStartTlsOffered));
  starttls.truth("asked", has(record, channel::kSessionStartTlsAsked));
  starttls.truth("refused", record.notes.refused[SessionNotes::place_of(channel::SmtpStep::kStartTls)] != 0);
  starttls.close();
  if (const auto tls = tls_word(record); !tls.empty()) out.text("tls", tls);
}

void add_hello(JsonMembers& out, const ClientHello& hello) {
  if (!hello.server_name.empty()) out.text("sni", hello.server_name);
  out.text("tls_offered", version_text(hello.version));
  out.text("ja4", ja4(hello));
}

void add_packets(JsonMembers& out, const SessionRecord& record) {
  out.number("bytes_from_client", record.bytes_up);
  if (!record.one_way) out.number("bytes_from_backend", record.bytes_down);
  out.number("packets_from_client", record.packets_up);
  if (!record.one_way) out.number("packets_from_backend", record.packets_down);
  if (const uint32_t n = record.notes.sent_again(true); n != 0) out.number("sent_again_by_client", n);
  if (const uint32_t n = record.notes.sent_again(false); n != 0) out.number("sent_again_by_backend", n);
}

void add_dialogue(JsonMembers& out, const KnownSession& session) {
  const SessionRecord& record = session.record;
  const SessionNotes& notes = record.notes;
  if (notes.greeting_code != 0) out.number("greeting", notes.greeting_code);
  if (const auto furthest = furthest_word(notes); !furthest.empty()) out.text("furthest", furthest);
  JsonMembers messages = out.object("messages");
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
  JsonMembers members(out);
  members.time("time", static_cast<int64_t>(record.ended_ms) + style.wall_offset_ms);
  members.text("node", style.node);
  members.number("worker", session.worker);
  add_names(members, session);
  if (const auto rule = rule_word(record); !rule.empty()) members.text("placed_by", rule);
  add_times(members, record, style.wall_offset_ms);
  add_packets(members, record);
  add_end(members, session);
  if (has(record, channel::kSessionWatched)) add_dialogue(members, session);
  if (style.share < 1 && !went_wrong(record)) members.share("share", style.share);
  members.close();
}

}  // namespace sluice::control
