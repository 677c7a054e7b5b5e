// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/ipfix_output.h"

#include <fixbuf/public.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "config/model.h"
#include "controlplane/records/ipfix_elements.h"
#include "controlplane/records/ja4.h"

namespace sluice::control {

namespace {

using channel::SessionEnd;

/// An error of libfixbuf.
class Fault {
 public:
  Fault() = default;
  Fault(const Fault&) = delete;
  Fault& operator=(const Fault&) = delete;
  ~Fault() { g_clear_error(&error_); }

  GError** out() {
    g_clear_error(&error_);
    return &error_;
  }
  bool is_full_message() const { return g_error_matches(error_, FB_ERROR_DOMAIN, FB_ERROR_EOM) != 0; }
  std::string text() const { return error_ == nullptr ? "unknown fault" : error_->message; }

 private:
  GError* error_ = nullptr;
};

fbTemplate_t* make_template(fbInfoModel_t* model, uint32_t flags, Fault& fault) {
  fbTemplate_t* made = fbTemplateAlloc(model);
  for (const IpfixField& field : kFields) {
    // It does not write there, in spite of its type.
    fbInfoElementSpec_t spec{const_cast<char*>(field.name), field.bytes, field.flags};
    if (fbTemplateAppendSpec(made, &spec, flags, fault.out()) == 0) {
      fbTemplateFreeUnused(made);
      return nullptr;
    }
  }
  return made;
}

uint32_t v4_of(const Address& address) {
  uint32_t out;
  std::memcpy(&out, address.bytes.data() + 12, sizeof out);
  return ntohl(out);  // libfixbuf turns it round again
}

fbVarfield_t text_field(std::string_view text) {
  return {.len = text.size(), .buf = reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()))};
}

/// RFC 5102's flowEndReason.
uint8_t end_reason(SessionEnd end) {
  switch (end) {
    case SessionEnd::kIdle:
    case SessionEnd::kUnfinished:
      return 1;  // idle timeout
    case SessionEnd::kClosed:
    case SessionEnd::kReset:
    case SessionEnd::kTold:
      return 3;  // end of flow detected
    default:
      return 4;  // forced end
  }
}

uint8_t truth(bool value) {
  return value ? 1 : 2;
}

Address address_of(const std::string& text) {
  Address out{};
  if (const auto parsed = config::IpAddress::parse(text)) out.bytes = parsed->bytes;
  return out;
}

void set_path(IpfixFields& out, const KnownSession& session) {
  const Endpoint& client = session.record.client;
  out.client6 = client.address.bytes;
  out.client4 = v4_of(client.address);
  out.client_port = client.port.host();
  if (session.service != nullptr) {
    const Address vip = address_of(session.service->vip);
    out.vip6 = vip.bytes;
    out.vip4 = v4_of(vip);
    out.vip_port = session.service->port;
    out.service = text_field(session.service->name);
  }
  if (session.backend == nullptr) return;
  const Address backend = address_of(session.backend->address);
  out.backend6 = backend.bytes;
  out.backend4 = v4_of(backend);
  out.backend_port = session.backend->port;
  out.pool = text_field(session.backend->pool);
  out.backend = text_field(session.backend->name);
}

void set_dialogue(IpfixFields& out, const channel::SessionRecord& record) {
  const channel::SessionNotes& notes = record.notes;
  out.greeting = notes.greeting_code;
  out.greeting_ms = notes.greeting_code != 0 ? notes.greeted_after_ms : 0;
  out.furthest = text_field(furthest_word(notes));
  out.accepted = notes.messages_accepted;
  out.temporary = notes.messages_temporary;
  out.permanent = notes.messages_permanent;
  std::ranges::copy(notes.refused, out.refused.begin());
  const channel::LastRefusal last = notes.last_refusal();
  out.last_refusal = last.code;
  out.last_refusal_step = text_field(last.code == 0 ? "" : step_word(last.step));
  out.starttls_offered = truth(has(record, channel::kSessionStartTlsOffered));
  out.starttls_asked = truth(has(record, channel::kSessionStartTlsAsked));
  out.tls = text_field(tls_word(record));
  out.quit = truth(record.quit);
  out.authenticated = truth(has(record, channel::kSessionAuthAccepted));
  out.early_talker = truth(has(record, channel::kSessionEarly));
  out.put_off = truth(has(record, channel::kSession421));
  out.lost_sight = truth(has(record, channel::kSessionLostSight));
}

}  // namespace

/// One session of libfixbuf's: the elements, the templates, and a message that is being filled. It composes messages,
/// and never sends.
class IpfixExport {
 public:
  explicit IpfixExport(DatagramSocket& socket) : socket_(socket) {}
  IpfixExport(const IpfixExport&) = delete;
  IpfixExport& operator=(const IpfixExport&) = delete;
  ~IpfixExport() {
    if (buffer_ != nullptr) fBufFree(buffer_);
    if (model_ != nullptr) fbInfoModelFree(model_);
  }

  /// These return "" or why not.
  std::string open();
  /// Says what records mean.
  std::string send_templates();
  /// Puts a record into the message. A message that is full goes before.
  std::string append(const KnownSession& session, const LineStyle& style);
  /// Sends the message.
  std::string send();
  /// Records that lie in it.
  uint64_t waiting() const { return waiting_; }

 private:
  void set_fields(IpfixFields& out, const KnownSession& session, const LineStyle& style);
  /// Puts something into the message by libfixbuf; `put` returns whether there was room.
  template <typename Put>
  std::string add(Put put);

  DatagramSocket& socket_;
  fbInfoModel_t* model_ = nullptr;
  fbSession_t* session_ = nullptr;    // the buffer's
  fbExporter_t* exporter_ = nullptr;  // likewise
  fBuf_t* buffer_ = nullptr;
  std::array<uint8_t, kMostBytes> message_{};
  bool is_empty_ = true;  // the message
  uint64_t waiting_ = 0;
  std::string enhanced_, tls_offered_, ja4_;
};

std::string IpfixExport::open() {
  Fault fault;
  model_ = fbInfoModelAlloc();
  for (const IpfixElement& each : kElements) {
    const uint32_t flags = each.bytes == FB_IE_VARLEN ? FB_IE_DEFAULT : FB_IE_F_ENDIAN;
    fbInfoElement_t element FB_IE_INIT_FULL(each.name, kEnterprise, each.number, each.bytes, flags, 0, 0, each.type,
                                            nullptr);
    fbInfoModelAddElement(model_, &element);
  }
  session_ = fbSessionAlloc(model_);
  const auto take = [&](bool internal, uint16_t id, fbTemplate_t* made) {
    return made != nullptr && fbSessionAddTemplate(session_, internal ? TRUE : FALSE, id, made, fault.out()) != 0;
  };
  const auto description = [&] { return fbInfoElementAllocTypeTemplate(model_, fault.out()); };
  const bool ready = take(true, kInternal, make_template(model_, kOnly4 | kOnly6 | kOnlyInternal, fault)) &&
                     take(false, kTemplate4, make_template(model_, kOnly4, fault)) &&
                     take(false, kTemplate6, make_template(model_, kOnly6, fault)) &&
                     take(true, kInternalDescription, description()) && take(false, kDescription, description());
  // Only now: a session that has a buffer puts every template into it that it is given.
  exporter_ = fbExporterAllocBuffer(message_.data(), message_.size());
  buffer_ = fBufAllocForExport(session_, exporter_);
  fBufSetAutomaticMode(buffer_, FALSE);
  return ready ? "" : fault.text();
}

template <typename Put>
std::string IpfixExport::add(Put put) {
  Fault fault;
  bool done = put(fault);
  if (!done && fault.is_full_message()) {
    if (std::string reason = send(); !reason.empty()) return reason;
    done = put(fault);
  }
  if (!done) return fault.text();
  is_empty_ = false;
  return "";
}

std::string IpfixExport::send_templates() {
  const auto add_template = [&](uint16_t id) {
    return add([&](Fault& fault) { return fbSessionExportTemplate(session_, id, fault.out()) != 0; });
  };
  // Elements before the templates that name them: a collector takes what it does not know by then for mere octets.
  std::string reason = add_template(kDescription);
  for (const IpfixElement& each : kElements) {
    const fbInfoElement_t* element = fbInfoModelGetElementByName(model_, each.name);
    if (!reason.empty()) break;
    reason = add([&](Fault& fault) {
      return fbInfoElementWriteOptionsRecord(buffer_, element, kInternalDescription, kDescription, fault.out()) != 0;
    });
  }
  for (const uint16_t id : {kTemplate4, kTemplate6}) {
    if (reason.empty()) reason = add_template(id);
  }
  return reason.empty() ? send() : reason;
}

void IpfixExport::set_fields(IpfixFields& out, const KnownSession& session, const LineStyle& style) {
  const channel::SessionRecord& record = session.record;
  const channel::SessionNotes& notes = record.notes;
  const SessionTimes times = times_of(record, style.wall_offset_ms);
  out.begun_ms = static_cast<uint64_t>(times.begun_ms);
  out.ended_ms = static_cast<uint64_t>(times.ended_ms);
  out.bytes_up = record.bytes_up;
  out.bytes_down = record.bytes_down;
  out.packets_up = record.packets_up;
  out.packets_down = record.packets_down;
  out.again_up = static_cast<uint8_t>(notes.sent_again(true));
  out.again_down = static_cast<uint8_t>(notes.sent_again(false));
  set_path(out, session);
  out.protocol = IPPROTO_TCP;
  out.end_reason = end_reason(record.end);
  out.failed = truth(went_wrong(record));
  out.established = truth(has(record, channel::kSessionEstablished));
  out.connect_ms = notes.answered_after_ms;
  out.handshake_ms = notes.established_after_ms;
  out.node = text_field(style.node);
  out.end = text_field(end_word(record));
  out.by = text_field(by_word(record));
  out.cause = text_field(cause_word(record));
  out.limit = limit_number(record);
  if (session.block != nullptr) {
    out.blocked_prefix = text_field(session.block->prefix);
    out.blocked_by = text_field(session.block->by);
  }
  out.placed_by = text_field(rule_word(record));
  set_dialogue(out, record);
  enhanced_ = enhanced_code(notes.last_refusal());
  out.last_refusal_enhanced = text_field(enhanced_);
  if (session.hello == nullptr) return;
  tls_offered_ = version_text(session.hello->version);
  ja4_ = ja4(*session.hello);
  out.server_name = text_field(session.hello->server_name);
  out.tls_offered = text_field(tls_offered_);
  out.ja4 = text_field(ja4_);
}

std::string IpfixExport::append(const KnownSession& session, const LineStyle& style) {
  IpfixFields fields{};
  set_fields(fields, session, style);
  const uint16_t wire = session.record.client.address.is_v4() ? kTemplate4 : kTemplate6;
  std::string reason = add([&](Fault& fault) {
    return fBufSetInternalTemplate(buffer_, kInternal, fault.out()) != 0 &&
           fBufSetExportTemplate(buffer_, wire, fault.out()) != 0 &&
           fBufAppend(buffer_, reinterpret_cast<uint8_t*>(&fields), sizeof fields, fault.out()) != 0;
  });
  if (reason.empty()) waiting_++;
  return reason;
}

std::string IpfixExport::send() {
  Fault fault;
  if (std::exchange(is_empty_, true)) return "";
  if (fBufEmit(buffer_, fault.out()) == 0) return fault.text();
  std::string reason = socket_.send({reinterpret_cast<const char*>(message_.data()), fbExporterGetMsgLen(exporter_)});
  if (reason.empty()) waiting_ = 0;
  return reason;
}

IpfixOutput::IpfixOutput(std::string where) : socket_(std::move(where)) {}
IpfixOutput::~IpfixOutput() = default;

void IpfixOutput::reopen() {
  export_.reset();
  socket_.close();
}

Written IpfixOutput::write(std::span<const KnownSession* const> sessions, const LineStyle& style) {
  Written out;
  const auto now = Clock::now();
  const bool fresh = export_ == nullptr;
  socket_.begin_batch();
  if (fresh) {
    export_ = std::make_unique<IpfixExport>(socket_);
    out.fault = export_->open();
  }
  if (out.fault.empty() && (fresh || now - templates_at_ >= kTemplatesEvery)) {
    out.fault = export_->send_templates();
    templates_at_ = now;
  }
  size_t put = 0;
  while (out.fault.empty() && put < sessions.size()) {
    out.fault = export_->append(*sessions[put], style);
    if (out.fault.empty()) put++;
  }
  if (out.fault.empty()) out.fault = export_->send();
  out.lost = out.fault.empty() ? 0 : sessions.size() - put + export_->waiting();
  out.records = sessions.size() - out.lost;
  if (!out.fault.empty()) export_.reset();
  return out;
}

}  // namespace sluice::control
