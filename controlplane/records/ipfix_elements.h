// SPDX-License-Identifier: Apache-2.0
//
// Of what elements an IPFIX record of a session consists, those that every collector knows and ours, and how libfixbuf
// reads them from memory. docs/sessions.md lists both.
#pragma once

#include <fixbuf/public.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/contract/session.h"

namespace sluice::control {

// No enterprise number is ours: this one is that of examples (RFC 5612).
inline constexpr uint32_t kEnterprise = 32473;
inline constexpr uint16_t kTemplate4 = 256, kTemplate6 = 257, kDescription = 258, kInternal = 300,
                          kInternalDescription = 301;
inline constexpr size_t kMostBytes = 1420;  // of a message, so that it fits into an Ethernet frame
inline constexpr uint32_t kOnly4 = 1, kOnly6 = 2, kOnlyInternal = 4;  // flags of fields, and of what takes them

/// What libfixbuf reads a record from: fields in the order of `kFields`, without gaps.
struct IpfixFields {
  uint64_t begun_ms, ended_ms;
  uint64_t bytes_up, bytes_down;
  uint64_t packets_up, packets_down;
  std::array<uint8_t, 16> client6, vip6, backend6;
  uint32_t client4, vip4, backend4;
  uint32_t greeting_ms;
  uint16_t client_port, vip_port, backend_port;
  uint16_t greeting, accepted, temporary, permanent, last_refusal;
  uint16_t connect_ms, handshake_ms;
  uint8_t protocol, end_reason;
  uint8_t again_up, again_down, limit;
  std::array<uint8_t, channel::SessionNotes::kSteps> refused;
  // 1 = true, 2 = false (RFC 7011 section 6.1.5)
  uint8_t failed, established, starttls_offered, starttls_asked, quit, authenticated, early_talker, put_off, lost_sight;
  std::array<uint8_t, 7> padding;
  fbVarfield_t node, service, pool, backend, end, by, cause, furthest, last_refusal_step, last_refusal_enhanced;
  fbVarfield_t server_name, tls_offered, ja4, blocked_prefix, blocked_by, placed_by, tls;
};

struct IpfixField {
  const char* name;
  uint16_t bytes;  // 0 = as long as it is
  uint32_t flags;
};
inline constexpr std::array kFields{std::to_array<IpfixField>({
    {"flowStartMilliseconds", 8, 0},
    {"flowEndMilliseconds", 8, 0},
    {"initiatorOctets", 8, 0},
    {"responderOctets", 8, 0},
    {"initiatorPackets", 8, 0},
    {"responderPackets", 8, 0},
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
    {"sessionConnectMilliseconds", 2, 0},
    {"sessionHandshakeMilliseconds", 2, 0},
    {"protocolIdentifier", 1, 0},
    {"flowEndReason", 1, 0},
    {"sentAgainByClient", 1, 0},
    {"sentAgainByServer", 1, 0},
    {"sessionLimit", 1, 0},
    {"smtpRefusedEhlo", 1, 0},
    {"smtpRefusedStarttls", 1, 0},
    {"smtpRefusedAuth", 1, 0},
    {"smtpRefusedMail", 1, 0},
    {"smtpRefusedRcpt", 1, 0},
    {"smtpRefusedData", 1, 0},
    {"smtpRefusedOther", 1, 0},
    {"sessionFailed", 1, 0},
    {"sessionEstablished", 1, 0},
    {"smtpStarttlsOffered", 1, 0},
    {"smtpStarttlsAsked", 1, 0},
    {"smtpQuit", 1, 0},
    {"smtpAuthenticated", 1, 0},
    {"smtpEarlyTalker", 1, 0},
    {"smtpPutOff", 1, 0},
    {"smtpLostSight", 1, 0},
    {"paddingOctets", 7, kOnlyInternal},
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
    {"tlsServerName", 0, 0},
    {"tlsVersionOffered", 0, 0},
    {"tlsClientJa4", 0, 0},
    {"sessionBlockedPrefix", 0, 0},
    {"sessionBlockedBy", 0, 0},
    {"sessionPlacedBy", 0, 0},
    {"tlsHandshake", 0, 0},
})};

/// How many bytes libfixbuf takes a record to have.
constexpr size_t bytes_of_fields() {
  size_t out = 0;
  for (const IpfixField& field : kFields) out += field.bytes == 0 ? sizeof(fbVarfield_t) : field.bytes;
  return out;
}
static_assert(bytes_of_fields() == sizeof(IpfixFields));

/// An element of ours.
struct IpfixElement {
  const char* name;
  uint16_t number;
  uint16_t bytes;
  uint8_t type;
};
inline constexpr std::array kElements{std::to_array<IpfixElement>({
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
    {"sentAgainByClient", 19, 1, FB_UINT_8},
    {"sentAgainByServer", 20, 1, FB_UINT_8},
    {"tlsServerName", 21, FB_IE_VARLEN, FB_STRING},
    {"tlsVersionOffered", 22, FB_IE_VARLEN, FB_STRING},
    {"tlsClientJa4", 23, FB_IE_VARLEN, FB_STRING},
    {"sessionLimit", 24, 1, FB_UINT_8},
    {"sessionBlockedPrefix", 25, FB_IE_VARLEN, FB_STRING},
    {"sessionBlockedBy", 26, FB_IE_VARLEN, FB_STRING},
    {"sessionPlacedBy", 27, FB_IE_VARLEN, FB_STRING},
    {"sessionConnectMilliseconds", 28, 2, FB_UINT_16},
    {"sessionHandshakeMilliseconds", 29, 2, FB_UINT_16},
    {"smtpRefusedEhlo", 30, 1, FB_UINT_8},
    {"smtpRefusedStarttls", 31, 1, FB_UINT_8},
    {"smtpRefusedAuth", 32, 1, FB_UINT_8},
    {"smtpRefusedMail", 33, 1, FB_UINT_8},
    {"smtpRefusedRcpt", 34, 1, FB_UINT_8},
    {"smtpRefusedData", 35, 1, FB_UINT_8},
    {"smtpRefusedOther", 36, 1, FB_UINT_8},
    {"smtpStarttlsOffered", 37, 1, FB_BOOL},
    {"smtpStarttlsAsked", 38, 1, FB_BOOL},
    {"tlsHandshake", 39, FB_IE_VARLEN, FB_STRING},
    {"smtpQuit", 40, 1, FB_BOOL},
    {"smtpAuthenticated", 41, 1, FB_BOOL},
    {"smtpEarlyTalker", 42, 1, FB_BOOL},
    {"smtpPutOff", 43, 1, FB_BOOL},
    {"smtpLostSight", 44, 1, FB_BOOL},
})};

}  // namespace sluice::control
