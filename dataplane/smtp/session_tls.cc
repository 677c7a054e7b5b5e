// SPDX-License-Identifier: Apache-2.0
//
// A session from STARTTLS on, or of implicit TLS: the headers of its records tell whether the handshake comes to an
// end.
#include "dataplane/smtp/session.h"

namespace sluice {

using channel::SmtpCounter;

void SmtpSession::begin_tls() noexcept {
  const bool waited = due() == SmtpCommand::kNone && (dialogue_ == nullptr || dialogue_->is_idle());
  if (!waited) return lose();  // nothing may be pipelined behind STARTTLS (RFC 3207 section 4.2)
  enter(SmtpPhase::kTlsHello);
}

void SmtpSession::read_client_records(const uint8_t* at, const uint8_t* end) noexcept {
  TlsStream stream;
  HelloProgress progress;
  if (dialogue_ != nullptr) {
    stream = dialogue_->client_tls;
    progress = dialogue_->hello;
  }
  tell_hello(progress, stream, at, end);
  while (at != end) {
    const TlsResult result = read_record(at, end, stream);
    if (result == TlsResult::kIncomplete) break;
    if (result == TlsResult::kMalformed) return lose();
    const bool hello = phase() == SmtpPhase::kTlsHello;
    if (result == TlsResult::kFatalAlert) {
      if (!hello) count(SmtpCounter::kTlsFailed);
      note(channel::kSessionTlsFailed);
      drop_dialogue();
      return enter(SmtpPhase::kTlsFailed);
    }
    if (hello) {
      if (stream.content != TlsContent::kHandshake) return lose();
      count(SmtpCounter::kTlsBegun);
      note(channel::kSessionTlsBegun);
      enter(SmtpPhase::kTlsHandshake);
      progress.open = true;
      tell_hello(progress, stream, at, end);
    } else if (stream.content == TlsContent::kApplicationData) {
      if (dialogue_ != nullptr) dialogue_->client_tls = TlsStream{};
      return enter(SmtpPhase::kTlsConfirm);
    }
  }
  if (stream.begun() && take_dialogue() == nullptr) return lose();
  if (dialogue_ == nullptr) return;
  dialogue_->client_tls = stream;
  dialogue_->hello = progress;
}

/// Hands on what [at, end) has of the client's first record, in whose content `stream` is.
void SmtpSession::tell_hello(HelloProgress& hello, const TlsStream& stream, const uint8_t* at,
                             const uint8_t* end) noexcept {
  if (!hello.open) return;
  const uint32_t bytes = std::min<uint32_t>(stream.left, static_cast<uint32_t>(end - at));
  memory_.hellos.tell(flow_, notes().begun_ms, hello, {at, bytes});
  if (bytes == stream.left) hello.open = false;
}

void SmtpSession::read_server_records(const uint8_t* at, const uint8_t* end) noexcept {
  TlsStream stream;
  if (dialogue_ != nullptr) stream = dialogue_->server_tls;
  while (at != end) {
    const TlsResult result = read_record(at, end, stream);
    if (result == TlsResult::kIncomplete) break;
    if (result == TlsResult::kMalformed) return lose();
    const bool fatal = result == TlsResult::kFatalAlert;
    const bool confirmed =
        phase() == SmtpPhase::kTlsConfirm && stream.content == TlsContent::kApplicationData && !fatal;
    if (!fatal && !confirmed) continue;
    count(fatal ? SmtpCounter::kTlsFailed : SmtpCounter::kTlsEstablished);
    note(fatal ? channel::kSessionTlsFailed : channel::kSessionTlsEstablished);
    drop_dialogue();
    return enter(fatal ? SmtpPhase::kTlsFailed : SmtpPhase::kTlsEstablished);
  }
  if (stream.begun() && take_dialogue() == nullptr) return lose();
  if (dialogue_ != nullptr) dialogue_->server_tls = stream;
}

}  // namespace sluice
