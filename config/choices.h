// SPDX-License-Identifier: Apache-2.0
//
// The words that stand for enumerators in the file. Only what is listed here is accepted: a feature that
// brings a new value opens it up by adding its line, and nothing else in config/ has to change.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "config/model.h"

namespace sluice::config {

template <class E>
struct Choice {
  std::string_view name;
  E value;
};

template <class E>
inline constexpr std::array<Choice<E>, 0> kChoices{};

template <>
inline constexpr std::array kChoices<Faces>{
    Choice{"clients", Faces::kClients},
    Choice{"backends", Faces::kBackends},
    Choice{"both", Faces::kBoth},
};

template <>
inline constexpr std::array kChoices<Idle>{
    Choice{"poll", Idle::kPoll},
    Choice{"pause", Idle::kPause},
    Choice{"sleep", Idle::kSleep},
};

template <>
inline constexpr std::array kChoices<FlowControl>{
    Choice{"leave", FlowControl::kLeave}, Choice{"off", FlowControl::kOff},   Choice{"receive", FlowControl::kReceive},
    Choice{"send", FlowControl::kSend},   Choice{"both", FlowControl::kBoth},
};

template <>
inline constexpr std::array kChoices<BondMode>{
    Choice{"active-backup", BondMode::kActiveBackup},
    Choice{"lacp", BondMode::kLacp},
};

template <>
inline constexpr std::array kChoices<Scheduler>{
    Choice{"maglev", Scheduler::kMaglev},
    Choice{"wrr", Scheduler::kWrr},
    Choice{"least_conn", Scheduler::kLeastConn},
    Choice{"source", Scheduler::kSource},
};

template <>
inline constexpr std::array kChoices<DnsType>{
    Choice{"A", DnsType::kA},
    Choice{"AAAA", DnsType::kAaaa},
    Choice{"SRV", DnsType::kSrv},
};

template <>
inline constexpr std::array kChoices<Family>{
    Choice{"ipv4", Family::kIpv4},
    Choice{"ipv6", Family::kIpv6},
};

template <>
inline constexpr std::array kChoices<Origin>{
    Choice{"file", Origin::kFile},
    Choice{"discovered", Origin::kDiscovered},
    Choice{"hand", Origin::kByHand},
};

template <>
inline constexpr std::array kChoices<HashOn>{
    Choice{"connection", HashOn::kConnection},
    Choice{"client", HashOn::kClient},
    Choice{"client_prefix", HashOn::kClientPrefix},
};

template <>
inline constexpr std::array kChoices<Forwarding>{
    Choice{"nat", Forwarding::kNat},   Choice{"fullnat", Forwarding::kFullnat}, Choice{"dsr", Forwarding::kDsr},
    Choice{"ipip", Forwarding::kIpip}, Choice{"gue", Forwarding::kGue},
};

template <>
inline constexpr std::array kChoices<Proxy>{
    Choice{"none", Proxy::kNone},
    Choice{"v1", Proxy::kV1},
    Choice{"v2", Proxy::kV2},
};

template <>
inline constexpr std::array kChoices<OnBackendDown>{
    Choice{"reset", OnBackendDown::kReset},
    Choice{"keep", OnBackendDown::kKeep},
};

template <>
inline constexpr std::array kChoices<OnNoBackend>{
    Choice{"421", OnNoBackend::k421},
    Choice{"reset", OnNoBackend::kReset},
    Choice{"silence", OnNoBackend::kSilence},
};

template <>
inline constexpr std::array kChoices<SynProxy>{
    Choice{"auto", SynProxy::kAuto},
    Choice{"always", SynProxy::kAlways},
    Choice{"off", SynProxy::kOff},
};

template <>
inline constexpr std::array kChoices<OnOffence>{
    Choice{"count", OnOffence::kCount},
};

template <>
inline constexpr std::array kChoices<ThenOnOffence>{
    Choice{"nothing", ThenOnOffence::kNothing},
    Choice{"421", ThenOnOffence::k421},
    Choice{"drop", ThenOnOffence::kDrop},
};

template <>
inline constexpr std::array kChoices<LimitOf>{
    Choice{"address", LimitOf::kAddress},
    Choice{"prefix", LimitOf::kPrefix},
};

template <>
inline constexpr std::array kChoices<LimitAction>{
    Choice{"421", LimitAction::k421},
    Choice{"reset", LimitAction::kReset},
    Choice{"drop", LimitAction::kDrop},
    Choice{"tarpit", LimitAction::kTarpit},
};

template <>
inline constexpr std::array kChoices<OnRemoval>{
    Choice{"drain", OnRemoval::kDrain},
    Choice{"reset", OnRemoval::kReset},
};

template <>
inline constexpr std::array kChoices<OnTableFull>{
    Choice{"stateless", OnTableFull::kStateless},
    Choice{"reset", OnTableFull::kReset},
    Choice{"silence", OnTableFull::kSilence},
};

template <>
inline constexpr std::array kChoices<OnIdleExpiry>{
    Choice{"silence", OnIdleExpiry::kSilence},
    Choice{"reset", OnIdleExpiry::kReset},
};

template <>
inline constexpr std::array kChoices<Strangers>{
    Choice{"drop", Strangers::kDrop},
    Choice{"kernel", Strangers::kKernel},
};

template <>
inline constexpr std::array kChoices<ServerRouting>{
    Choice{"auto", ServerRouting::kAuto},
    Choice{"worker", ServerRouting::kWorker},
    Choice{"kernel", ServerRouting::kKernel},
};

template <>
inline constexpr std::array kChoices<CheckType>{
    Choice{"tcp", CheckType::kTcp},           Choice{"banner", CheckType::kBanner}, Choice{"ehlo", CheckType::kEhlo},
    Choice{"starttls", CheckType::kStarttls}, Choice{"smtps", CheckType::kSmtps},
};

template <>
inline constexpr std::array kChoices<Curve>{
    Choice{"linear", Curve::kLinear},
    Choice{"exponential", Curve::kExponential},
};

template <>
inline constexpr std::array kChoices<OnSoft>{
    Choice{"shed", OnSoft::kShed},
    Choice{"down", OnSoft::kDown},
};

template <>
inline constexpr std::array kChoices<CertificateAction>{
    Choice{"warn", CertificateAction::kWarn},
    Choice{"down", CertificateAction::kDown},
};

template <>
inline constexpr std::array kChoices<AnnounceMode>{
    Choice{"none", AnnounceMode::kNone},
    Choice{"routes", AnnounceMode::kRoutes},
    Choice{"address", AnnounceMode::kAddress},
};

template <>
inline constexpr std::array kChoices<Require>{
    Choice{"all", Require::kAll},
    Choice{"any", Require::kAny},
};

template <>
inline constexpr std::array kChoices<LastNode>{
    Choice{"withdraw", LastNode::kWithdraw},
    Choice{"stay", LastNode::kStay},
};

template <>
inline constexpr std::array kChoices<LogLevel>{
    Choice{"debug", LogLevel::kDebug},
    Choice{"info", LogLevel::kInfo},
    Choice{"warn", LogLevel::kWarn},
    Choice{"error", LogLevel::kError},
};

template <>
inline constexpr std::array kChoices<LogFormat>{
    Choice{"text", LogFormat::kText},
    Choice{"json", LogFormat::kJson},
};

/// The word for `value`; "" for an enumerator that the file cannot name yet.
template <class E>
constexpr std::string_view name_of(E value) {
  static_assert(!kChoices<E>.empty(), "this enumeration has no words");
  for (const auto& choice : kChoices<E>)
    if (choice.value == value) return choice.name;
  return "";
}

}  // namespace sluice::config
