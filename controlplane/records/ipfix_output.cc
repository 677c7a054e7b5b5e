// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/ipfix_output.h"

#include <fixbuf/public.h>
#include <netinet/in.h>

#include <array>
#include <cstring>
#include <utility>

#include "config/model.h"

namespace sluice::control {

namespace {

using channel::SessionEnd;

// No enterprise number is ours: this one is that of examples (RFC 5612).
constexpr uint32_t kEnterprise = 32473;
constexpr uint16_t kTemplate4 = 256, kTemplate6 = 257, kDescription = 258, kInternal = 300, kInternalDescription = 301;
constexpr size_t kMostBytes = 1420;                            // of a message, so that it fits into an Ethernet frame
constexpr uint32_t kOnly4 = 1, kOnly6 = 2, kOnlyInternal = 4;  // flags of fields, and of what takes them

/// What libfixbuf reads a record from: fields in the order of `kFields`, without gaps.
struct Fields {
  uint64_t begun_ms, ended_ms;
  uint64_t bytes_up, bytes_down;
  std::array<uint8_t, 16> client6, vip6, backend6;
  uint32_t client4, vip4, backend4;
  uint32_t greeting_ms;
  uint16_t client_port, vip_port, backend_port;
  uint16_t greeting, accepted, temporary, permanent, last_refusal;
  uint8_t protocol, end_reason;
  uint8_t failed, established;  // 1 = true, 2 = false (RFC 7011 section 6.1.5)
  std::array<uint8_t, 4> padding;
  fbVarfield_t node, service, pool, backend, end, by, cause, furthest, last_refusal_step, last_refusal_enhanced;
};

struct Field {
  const char* name;
  uint16_t bytes;  // 0 = as long as it is
  uint32_t flags;
};
constexpr std::array kFields{std::to_array<Field>({
    {"flowStartMilliseconds", 8, 0},
    {"flowEndMilliseconds", 8, 0},
    {"initiatorOctets", 8, 0},
    {"responderOctets", 8, 0},
    {"sourceIPv6Address", 16, kOnly6},
    {"destinationIPv6Address", 16, kOnly6},
    {"postNATDestinationIPv6Address", 16, kOnly6},
    {"sourceIPv4Address", 4, kOnly4},
    {"destinationIPv4Address", 4, kOnly4},
    {"postNATDestinationIPv4Address", 4, kOnly4},
    {"smtpGreetingMilliseconds", 4, 0},
    {"sourceTransportPort", 2, 0},
    {"destinationTransportPort", 2, 0},
    {"postNAPTDestinationTransportPort", 2, 0},
    {"smtpGreetingCode", 2, 0},
    {"smtpMessagesAccepted", 2, 0},
    {"smtpMessagesTemporary", 2, 0},
    {"smtpMessagesPermanent", 2, 0},
    {"smtpLastRefusalCode", 2, 0},
    {"protocolIdentifier", 1, 0},
    {"flowEndReason", 1, 0},
    {"sessionFailed", 1, 0},
    {"sessionEstablished", 1, 0},
    {"paddingOctets", 4, kOnlyInternal},
    {"nodeName", 0, 0},
    {"serviceName", 0, 0},
    {"poolName", 0, 0},
    {"backendName", 0, 0},
    {"sessionEnd", 0, 0},
    {"sessionEndedBy", 0, 0},
    {"sessionCause", 0, 0},
    {"smtpFurthestStep", 0, 0},
    {"smtpLastRefusalStep", 0, 0},
    {"smtpLastRefusalEnhanced", 0, 0},
})};

/// How many bytes libfixbuf takes a record to have.
constexpr size_t bytes_of_fields() {
  size_t out = 0;
  for (const Field& field : kFields) out += field.bytes == 0 ? sizeof(fbVarfield_t) : field.bytes;
  return out;
}
static_assert(bytes_of_fields() == sizeof(Fields));

/// An element of ours.
struct Element {
  const char* name;
  uint16_t number;
  uint16_t bytes;
  uint8_t type;
};
constexpr std::array kElements{std::to_array<Element>({
    {"nodeName", 1, FB_IE_VARLEN, FB_STRING},
    {"serviceName", 2, FB_IE_VARLEN, FB_STRING},
    {"poolName", 3, FB_IE_VARLEN, FB_STRING},
    {"backendName", 4, FB_IE_VARLEN, FB_STRING},
    {"sessionEnd", 5, FB_IE_VARLEN, FB_STRING},
    {"sessionEndedBy", 6, FB_IE_VARLEN, FB_STRING},
    {"sessionCause", 7, FB_IE_VARLEN, FB_STRING},
    {"sessionFailed", 8, 1, FB_BOOL},
    {"sessionEstablished", 9, 1, FB_BOOL},
    {"smtpGreetingCode", 10, 2, FB_UINT_16},
    {"smtpGreetingMilliseconds", 11, 4, FB_UINT_32},
    {"smtpFurthestStep", 12, FB_IE_VARLEN, FB_STRING},
    {"smtpMessagesAccepted", 13, 2, FB_UINT_16},
    {"smtpMessagesTemporary", 14, 2, FB_UINT_16},
    {"smtpMessagesPermanent", 15, 2, FB_UINT_16},
    {"smtpLastRefusalCode", 16, 2, FB_UINT_16},
    {"smtpLastRefusalStep", 17, FB_IE_VARLEN, FB_STRING},
    {"smtpLastRefusalEnhanced", 18, FB_IE_VARLEN, FB_STRING},
})};

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
  for (const Field& field : kFields) {
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

Address address_of(const std::string& text) {
  Address out{};
  if (const auto parsed = config::IpAddress::parse(text)) out.bytes = parsed->bytes;
  return out;
}

void set_path(Fields& out, const KnownSession& session) {
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
  void set_fields(Fields& out, const KnownSession& session, const LineStyle& style);
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
  std::string enhanced_;
};

std::string IpfixExport::open() {
  Fault fault;
  model_ = fbInfoModelAlloc();
  for (const Element& each : kElements) {
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
  std::string reason;
  for (const uint16_t id : {kTemplate4, kTemplate6, kDescription}) {
    if (reason.empty())
      reason = add([&](Fault& fault) { return fbSessionExportTemplate(session_, id, fault.out()) != 0; });
  }
  for (const Element& each : kElements) {
    const fbInfoElement_t* element = fbInfoModelGetElementByName(model_, each.name);
    if (!reason.empty()) break;
    reason = add([&](Fault& fault) {
      return fbInfoElementWriteOptionsRecord(buffer_, element, kInternalDescription, kDescription, fault.out()) != 0;
    });
  }
  return reason.empty() ? send() : reason;
}

void IpfixExport::set_fields(Fields& out, const KnownSession& session, const LineStyle& style) {
  const channel::SessionRecord& record = session.record;
  const channel::SessionNotes& notes = record.notes;
  const SessionTimes times = times_of(record, style.wall_offset_ms);
  const channel::LastRefusal last = notes.last_refusal();
  out.begun_ms = static_cast<uint64_t>(times.begun_ms);
  out.ended_ms = static_cast<uint64_t>(times.ended_ms);
  out.bytes_up = record.bytes_up;
  out.bytes_down = record.bytes_down;
  set_path(out, session);
  out.protocol = IPPROTO_TCP;
  out.end_reason = end_reason(record.end);
  out.failed = went_wrong(record) ? 1 : 2;
  out.established = has(record, channel::kSessionEstablished) ? 1 : 2;
  out.greeting = notes.greeting_code;
  out.greeting_ms = notes.greeting_code != 0 ? notes.greeted_after_ms : 0;
  out.accepted = notes.messages_accepted;
  out.temporary = notes.messages_temporary;
  out.permanent = notes.messages_permanent;
  out.last_refusal = last.code;
  out.node = text_field(style.node);
  out.end = text_field(end_word(record));
  out.by = text_field(by_word(record));
  out.cause = text_field(cause_word(record));
  out.furthest = text_field(furthest_word(notes));
  enhanced_ = enhanced_code(last);
  out.last_refusal_enhanced = text_field(enhanced_);
  out.last_refusal_step = text_field(last.code == 0 ? "" : step_word(last.step));
}

std::string IpfixExport::append(const KnownSession& session, const LineStyle& style) {
  Fields fields{};
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
