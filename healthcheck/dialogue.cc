// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/dialogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "healthcheck/ehlo.h"

namespace sluice::health {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFarewellWait{5000};  // for 221, unless command_timeout is shorter
constexpr milliseconds kCloseWait{1000};     // for the server's FIN
constexpr size_t kMaxDrainBytes = 65536;     // read and thrown away while waiting for it

std::string in_seconds(milliseconds time) {
  return fmt::format("{:g} s", static_cast<double>(time.count()) / 1000.0);
}

uint32_t us_between(Dialogue::Time from, Dialogue::Time to) {
  return static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(to - from).count());
}

bool speaks_smtp(config::CheckType type) {
  return type != config::CheckType::kTcp;
}

/// "EHLO", "STARTTLS": what a reply at `step` answers.
std::string_view command_of(Step step) {
  return step == Step::kStarttls ? "STARTTLS" : "EHLO";
}

}  // namespace

Dialogue::Dialogue(const Plan& plan, Matcher& matcher, Time now, Transcript* transcript)
    : plan_(plan), matcher_(matcher), transcript_(transcript), began_(now), step_began_(now) {}

Action Dialogue::on_connected(const Endpoint& local, const Endpoint& remote, Time now) {
  local_ = local.address;
  note(Speaker::kNote, fmt::format("connected to {} port {}", remote.address.to_string(), remote.port), now);
  Action action{.send = proxy_header(plan_.check.proxy, local, remote)};
  if (plan_.check.proxy == config::Proxy::kV1) note(Speaker::kProbe, action.send, now);
  if (plan_.check.proxy == config::Proxy::kV2) note(Speaker::kProbe, "(PROXY v2 header, LOCAL)", now);
  if (!speaks_smtp(plan_.check.type)) {
    conclude(Fact::kHealthy, "", "", now);
    action.next = close(now).next;
  } else if (plan_.check.type == config::CheckType::kSmtps) {
    enter(Step::kTls, now);
    action.next = Next::kTls;
  } else {
    enter(Step::kGreeting, now);
  }
  return action;
}

Action Dialogue::on_connect_failed(Evidence evidence, std::string_view why, Time now) {
  conclude(evidence == Evidence::kNone ? Fact::kNotRun : Fact::kDead, std::string(why), "", now);
  verdict_->evidence = evidence;
  return {.next = Next::kAbort};
}

Action Dialogue::on_bytes(std::string_view bytes, Time now) {
  if (step_ == Step::kClose) {
    drained_bytes_ += bytes.size();
    return {.next = drained_bytes_ > kMaxDrainBytes ? Next::kAbort : Next::kRead};
  }
  pending_.append(bytes);
  std::string_view unread = pending_;
  const auto status = parser_.read(unread);
  pending_.erase(0, pending_.size() - unread.size());
  if (status == ReplyParser::Status::kMore) return {};
  note(Speaker::kServer, parser_.received(), now);
  if (status == ReplyParser::Status::kComplete) return on_reply(now);
  if (!verdict_) conclude(Fact::kNotSmtp, std::string(parser_.fault()), parser_.received() + pending_, now);
  return close(now);
}

Action Dialogue::on_reply(Time now) {
  switch (step_) {
    case Step::kGreeting:
      return verdict_ ? quit(now) : on_greeting(now);
    case Step::kEhlo:
      return on_ehlo(now);
    case Step::kEhloTls:
      return on_ehlo_tls(now);
    case Step::kStarttls:
      return on_starttls(now);
    default:
      return close(now);  // 221, or whatever the server says to QUIT
  }
}

Action Dialogue::on_greeting(Time now) {
  const Reply& reply = parser_.reply();
  greeting_ = reply.text;
  if (reply.digit() != 2) return refused_or(Fact::kUnexpected, "not a greeting", now);
  if (std::string fault = greeting_fault(); !fault.empty()) {
    conclude(Fact::kUnexpected, std::move(fault), reply.text, now);
    return quit(now);
  }
  if (plan_.check.type == config::CheckType::kBanner) return healthy_if_offered(now);
  return command(encrypted_ ? Step::kEhloTls : Step::kEhlo, ehlo_command(plan_.check.helo, local_), now);
}

Action Dialogue::on_ehlo(Time now) {
  const Reply& reply = parser_.reply();
  if (reply.code != 250) return refused_or(Fact::kUnexpected, "EHLO is not answered with 250", now);
  offered_ = reply.text;
  if (plan_.check.type != config::CheckType::kStarttls) return healthy_if_offered(now);
  if (offers(reply.text, "STARTTLS")) return command(Step::kStarttls, "STARTTLS\r\n", now);
  conclude(Fact::kTlsFailed, "STARTTLS is not offered", reply.text, now);
  return quit(now);
}

Action Dialogue::on_ehlo_tls(Time now) {
  const Reply& reply = parser_.reply();
  if (reply.code != 250) return refused_or(Fact::kUnexpected, "EHLO under TLS is not answered with 250", now);
  offered_.append("\n").append(reply.text);
  return healthy_if_offered(now);
}

Action Dialogue::on_starttls(Time now) {
  const Reply& reply = parser_.reply();
  if (reply.code == 421) return refused_or(Fact::kSoft, "", now);
  if (reply.code != 220) {
    conclude(Fact::kTlsFailed, "STARTTLS is not accepted", reply.text, now);
    return quit(now);
  }
  if (has_pending()) {  // they would pass for encrypted ones: RFC 3207 section 6 and CVE-2011-0411
    conclude(Fact::kTlsFailed, "the server sent more in plain text after accepting STARTTLS", reply.text, now);
    return close(now);
  }
  enter(Step::kTls, now);
  return {.next = Next::kTls};
}

Action Dialogue::on_tls(const TlsResult& result, Time now) {
  if (result.established) return on_established(result, now);
  const std::string waited = in_seconds(timeout_of(Step::kTls));
  const bool silent = !result.heard && result.error.empty();
  const std::string why = silent                 ? "connected, but no answer to the TLS handshake within " + waited
                          : result.error.empty() ? "handshake not done within " + waited
                                                 : result.error;
  conclude(silent ? Fact::kSilent : Fact::kTlsFailed, why, "", now);
  note(Speaker::kNote, "TLS failed: " + why, now);
  return {.next = Next::kAbort};
}

Action Dialogue::on_established(const TlsResult& result, Time now) {
  encrypted_ = true;
  certificate_ = result.certificate;
  note(Speaker::kNote, result.protocol + " established", now);
  if (certificate_) {
    note(Speaker::kNote,
         fmt::format("certificate {}, {} days left, SHA-256 {}", certificate_->subject, certificate_->days_left(),
                     certificate_->sha256),
         now);
  }
  judge_certificate(result, now);
  if (plan_.check.type == config::CheckType::kSmtps) {
    enter(Step::kGreeting, now);  // the verdict may stand already: the farewell still waits for the greeting
    return {};
  }
  if (verdict_) return quit(now);
  return command(Step::kEhloTls, ehlo_command(plan_.check.helo, local_), now);
}

void Dialogue::judge_certificate(const TlsResult& result, Time now) {
  const bool expired = certificate_ && certificate_->left <= std::chrono::days(plan_.check.certificate_fail_days);
  if (plan_.check.certificate_action == config::CertificateAction::kWarn) {
    distrusted_ = result.trust_error;
  } else if (expired) {
    conclude(Fact::kCertificateExpired, fmt::format("certificate has {} days left", certificate_->days_left()), "",
             now);
  } else if (!result.trust_error.empty()) {
    conclude(Fact::kTlsFailed, result.trust_error, "", now);
    verdict_->evidence = Evidence::kCertificate;
  }
}

Action Dialogue::on_closed(std::string_view how, Time now) {
  note(Speaker::kNote, how, now);
  if (verdict_) return {.next = Next::kAbort};
  const bool about_tls = step_ == Step::kStarttls || step_ == Step::kTls;
  conclude(about_tls ? Fact::kTlsFailed : Fact::kDead, std::string(how), parser_.received(), now);
  return {.next = Next::kAbort};
}

Action Dialogue::on_deadline(Time now) {
  if (verdict_) return step_ == Step::kClose ? Action{.next = Next::kAbort} : close(now);
  const std::string waited = in_seconds(timeout_of(step_));
  switch (step_) {
    case Step::kConnect:
      return on_connect_failed(Evidence::kUnanswered, "no answer within " + waited, now);
    case Step::kTls:
      return on_tls({}, now);
    case Step::kGreeting:
      conclude(Fact::kSilent,
               (parser_.received().empty() ? "no greeting within " : "the greeting did not end within ") + waited,
               parser_.received(), now);
      return close(now);
    default:
      conclude(Fact::kSilent, fmt::format("no reply to {} within {}", command_of(step_), waited), "", now);
      return close(now);  // no QUIT: the server owes a reply, and this would be pipelining
  }
}

Action Dialogue::command(Step step, std::string line, Time now) {
  enter(step, now);
  note(Speaker::kProbe, line, now);
  return {.send = std::move(line)};
}

Action Dialogue::healthy_if_offered(Time now) {
  if (const std::string missing = missing_keyword(); !missing.empty()) {
    conclude(Fact::kUnexpected, missing + " is not offered", parser_.reply().text, now);
  } else if (!distrusted_.empty()) {
    conclude(Fact::kCertificateDistrusted, distrusted_, greeting_, now);
  } else if (certificate_ && (certificate_->left < std::chrono::days(plan_.check.certificate_warn_days) ||
                              certificate_->left <= std::chrono::days(plan_.check.certificate_fail_days))) {
    conclude(Fact::kCertificateExpiring, fmt::format("certificate has {} days left", certificate_->days_left()),
             greeting_, now);
  } else {
    conclude(Fact::kHealthy, "", greeting_, now);
  }
  return quit(now);
}

/// The verdict that a 4xx or 5xx reply means by itself; `otherwise`, with `detail`, for other replies.
Action Dialogue::refused_or(Fact otherwise, std::string detail, Time now) {
  const Reply& reply = parser_.reply();
  if (reply.digit() == 4)
    conclude(Fact::kSoft, "", reply.text, now);
  else if (reply.digit() == 5)
    conclude(Fact::kRefused, "", reply.text, now);
  else
    conclude(otherwise, std::move(detail), reply.text, now);
  return quit(now);
}

std::string Dialogue::greeting_fault() const {
  if (plan_.expect && !matcher_.matches(*plan_.expect, greeting_))
    return "the greeting does not match expect = \"" + plan_.check.expect + "\"";
  if (plan_.reject && matcher_.matches(*plan_.reject, greeting_))
    return "the greeting matches reject = \"" + plan_.check.reject + "\"";
  return "";
}

std::string Dialogue::missing_keyword() const {
  if (plan_.check.type == config::CheckType::kBanner) return "";  // it says no EHLO, so nothing is offered
  const auto missing =
      std::ranges::find_if(plan_.check.require, [&](const std::string& word) { return !offers(offered_, word); });
  return missing == plan_.check.require.end() ? "" : *missing;
}

void Dialogue::conclude(Fact fact, std::string detail, std::string_view text, Time now) {
  verdict_ = Verdict{.fact = fact, .step = step_, .text = sanitised(text), .detail = std::move(detail)};
  if (!text.empty() && parser_.fault().empty()) verdict_->code = parser_.reply().code;
  verdict_->times = times_;
  verdict_->times.push_back({step_, us_between(step_began_, now)});
  verdict_->certificate = certificate_;
  verdict_->evidence = evidence_of(fact);
  note(Speaker::kNote, describe(*verdict_), now);
}

Action Dialogue::quit(Time now) {
  return command(Step::kQuit, "QUIT\r\n", now);
}

Action Dialogue::close(Time now) {
  enter(Step::kClose, now);
  pending_.clear();
  return {.next = Next::kClose};
}

void Dialogue::enter(Step step, Time now) {
  times_.push_back({step_, us_between(step_began_, now)});
  step_ = step;
  step_began_ = now;
  parser_ = {};
}

milliseconds Dialogue::timeout_of(Step step) const {
  switch (step) {
    case Step::kConnect:
      return plan_.check.connect_timeout;
    case Step::kGreeting:
      return plan_.check.greeting_timeout;
    case Step::kQuit:
      return std::min(plan_.check.command_timeout, kFarewellWait);
    case Step::kClose:
      return std::min(plan_.check.command_timeout, kCloseWait);
    default:
      return plan_.check.command_timeout;
  }
}

void Dialogue::note(Speaker speaker, std::string_view text, Time now) {
  if (transcript_ == nullptr) return;
  const uint32_t us = us_between(began_, now);
  while (transcript_->size() < kMaxTranscriptLines) {
    const size_t end = std::min(text.find('\n'), text.size());
    transcript_->push_back({us, speaker, sanitised(text.substr(0, end))});
    if (end + 1 >= text.size()) return;
    text.remove_prefix(end + 1);
  }
}

}  // namespace sluice::health
