// SPDX-License-Identifier: Apache-2.0
//
// What a worker counts. One block of plain 64-bit counters per worker, written by that worker
// alone and read by anyone with relaxed loads (`read_counter`). Counters only grow while the data
// plane lives; gauges are marked. The law, per worker and tested:
//
//   received + handed_in = forwarded + punted + handed_out + answered + sum of drops
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::channel {

enum class Counter : uint16_t {
  // Where packets went.
  kReceived,
  kHandedIn,
  kForwarded,
  kPunted,
  kHandedOut,
  kAnswered,
  // Drops: every packet that none of the above counts is in exactly one of these.
  kDropTruncated,
  kDropMalformed,
  kDropOtherHost,
  kDropV4Mapped,
  kDropDoubleTag,
  kDropBadSource,
  kDropPortZero,
  kDropNotNextHop,
  kDropTtlExpired,
  kDropPuntInfrastructure,
  kDropPuntLocal,
  kDropPuntRouted,
  kDropEcho,
  kDropStrangers,
  kDropTransmitFull,
  kDropHandoverFull,
  kDropNoBackend,
  kDropTableFull,
  kDropNotReady,
  kDropBackendCollision,
  kDropBackendUnreachable,
  kDropBackendDown,
  kDropBackendLimit,
  kDropAdoptQuota,
  kDropNoFlow,
  kDropReset,
  kDropProxyPending,
  kDropFragment,
  kDropTooBig,
  kDropIcmp,
  kDropNoLocalPort,
  kDropPolicy,
  kDropLimited,
  kDropSynProxyPending,
  kDropSynShed,
  // Of those forwarded: what mail servers say and hear for themselves.
  kRoutedOut,
  kRoutedOutBytes,
  kRoutedIn,
  kRoutedInBytes,
  // Packets we made.
  kFromTwin,
  kDropFromTwin,
  kDropMade,
  kResetsToClient,
  kResetsToBackend,
  kResetsHeldBack,
  kSynAcksSent,
  kRefusalsSent,
  kRefusalsResent,
  kRefusalsAcknowledged,
  kAnswersHeldBack,
  kClientsAsked,
  kSynAcksResent,
  kSynCookiesSent,
  kSynCookiesAccepted,
  kSynProxyRetried,
  kSynProxyMoved,
  kSynProxyFailed,
  kProxyHeadersSent,
  kProxyHeadersResent,
  kIcmpSent,
  kIcmpPassedOn,
  // Flows.
  kFlowsCreated,
  kFlowsAdopted,
  kFlowsEstablished,
  kFlowsClosed,
  kFlowsReset,
  kFlowsExpired,
  kFlowsRecycledEmbryonic,
  kFlowsRecycledClosing,
  kFlowsCutDown,
  kFlowsCutIdle,
  kFlowsCutProxy,
  kFlowsCutLimit,
  kFlowsTold,
  kFlowsStateless,
  kFlowsMovedByCollision,
  kFlowsMovedRouter,
  kFlowsResumed,
  kRepliesHeld,
  kRepliesPassed,
  kRepliesTaken,
  kSegmentsNotBelieved,
  kRssMisplaced,
  // Gauges.
  kFlowsEmbryonicNow,
  kFlowsEstablishedNow,
  kFlowsClosingNow,
  kFlowCapacity,
  kSynProxyNow,
  kShedsSynsNow,
  // The loop.
  kLoops,
  kLoopsIdle,
  kBusyCycles,
  kSlowPath,
  // Stages: TSC cycles in sampled poll iterations (every kStageSampling-th), and how many packets these received.
  kSampledPackets,
  kStagePollControl,
  kStageReceive,
  kStageParse,
  kStageLookUpFlows,
  kStagePlaceNewFlows,
  kStageTranslate,
  kStageTransmit,
  kStageExpireSome,
  kCommandsApplied,
  kCommandsRejected,
  kEventsLost,
  kTellsLost,
  kSessionRecords,
  kSessionRecordsLost,
  kSessionRecordsHeldBack,
  kTlsHellosLost,
  kCount
};

inline constexpr size_t kCounterCount = static_cast<size_t>(Counter::kCount);
inline constexpr uint32_t kStageSampling = 64;
inline constexpr Counter kFirstDrop = Counter::kDropTruncated;
inline constexpr Counter kLastDrop = Counter::kDropSynShed;

/// Name (as shown, logged and exported) and one line of help, in the order of `Counter`.
struct CounterInfo {
  std::string_view name;
  std::string_view help;
  bool gauge = false;
};

inline constexpr std::array<CounterInfo, kCounterCount> kCounterInfo{{
    {"received", "packets received from devices"},
    {"handed_in", "packets taken over from another worker"},
    {"forwarded", "packets sent on to a backend or a client"},
    {"punted", "packets given to the kernel twin"},
    {"handed_out", "packets given to the worker that owns the flow"},
    {"answered",
     "packets that the balancer answers itself: SYNs in a backend's place, and of clients that are told 421"},
    {"drop_truncated", "shorter than their headers say"},
    {"drop_malformed", "headers that contradict themselves"},
    {"drop_other_host", "addressed to another Ethernet station"},
    {"drop_v4_mapped", "IPv6 with an IPv4-mapped address, which has no place on a wire"},
    {"drop_double_tag", "frames with two VLAN tags or a service tag (QinQ), which are not supported"},
    {"drop_bad_source",
     "to a service from an address that no client has: none, loopback, multicast, broadcast or a VIP"},
    {"drop_port_zero", "to a service from port 0"},
    {"drop_not_next_hop", "from a backend's address, but from another station or VLAN than its next hop's"},
    {"drop_ttl_expired", "TTL or hop limit used up"},
    {"drop_punt_infrastructure",
     "ARP, neighbour discovery, routing and replies to probes, more than the kernel is given"},
    {"drop_punt_local", "for an address of ours, more than the kernel is given"},
    {"drop_punt_routed", "to or from a mail server's own address, more than the kernel is given to route"},
    {"drop_echo", "echo requests to a VIP, beyond echo_per_second"},
    {"drop_strangers", "for a VIP but for no service, or neither for us nor for a mail server"},
    {"drop_transmit_full", "the device took no more"},
    {"drop_handover_full", "the way to another worker was full"},
    {"drop_no_backend", "new flow, and no backend in service"},
    {"drop_table_full", "new flow, and no room for it"},
    {"drop_not_ready", "for a VIP, before control had said which backends there are"},
    {"drop_backend_collision", "no backend left that this client endpoint does not already use"},
    {"drop_backend_unreachable", "the backend's next hop is not resolved"},
    {"drop_backend_down", "flow of a backend that went down, answered with a reset"},
    {"drop_backend_limit", "every candidate is at its max_connections"},
    {"drop_adopt_quota", "packet of an unknown flow, beyond the adoption quota"},
    {"drop_no_flow", "packet of an unknown flow that cannot be adopted"},
    {"drop_reset", "packet of a flow that was reset, answered with a reset"},
    {"drop_proxy_pending", "held back until the PROXY header is on its way"},
    {"drop_fragment", "fragment whose flow is not known"},
    {"drop_too_big", "longer than the way ahead allows"},
    {"drop_icmp", "ICMP error that quotes a sequence number far from its flow's, or one too many without a flow"},
    {"drop_no_local_port", "no address of ours towards the backend, or no free port of it"},
    {"drop_policy", "refused by source policy"},
    {"drop_limited", "new connections of a source that is at a limit, unless they are answered"},
    {"drop_syn_proxy_pending", "from clients whose SYN was answered in a backend's place, which has not answered yet"},
    {"drop_syn_shed", "SYNs of new connections, as the worker was behind with its packets"},
    {"routed_out", "packets that mail servers sent for themselves, routed past the kernel"},
    {"routed_out_bytes", "bytes of IP of these"},
    {"routed_in", "packets to mail servers' own addresses, routed past the kernel"},
    {"routed_in_bytes", "bytes of IP of these"},
    {"from_twin", "packets sent for the kernel twin"},
    {"drop_from_twin", "packets of the kernel twin that found no room"},
    {"drop_made", "packets made by the balancer that found no room"},
    {"resets_to_client", "RST segments made for clients"},
    {"resets_to_backend", "RST segments made for backends"},
    {"resets_held_back", "packets that would have been answered with an RST, but for the limit on these"},
    {"syn_acks_sent", "SYNs answered for clients that are to be told 421"},
    {"refusals_sent", "421 replies to clients whose connection no backend can take, or whose backend leaves"},
    {"refusals_resent", "421 replies sent again"},
    {"refusals_acknowledged", "421 replies that their client has got"},
    {"answers_held_back",
     "segments that would have been sent to clients that are told 421, but for the limit on these"},
    {"clients_asked", "keep-alives to silent clients of backends that leave, before they are told 421"},
    {"syn_acks_resent", "answers to SYNs that were sent again, as nothing was heard of their client"},
    {"syn_cookies_sent", "SYNs answered in the backend's place, with nothing kept of them"},
    {"syn_cookies_accepted", "clients that acknowledged such an answer, for whom a backend was asked"},
    {"syn_proxy_retried", "SYNs to backends sent again, as no answer came"},
    {"syn_proxy_moved", "clients for whom another backend was asked, as the first refused or was silent"},
    {"syn_proxy_failed", "clients for whom no backend answered, or there was no room, and that were refused then"},
    {"proxy_headers_sent", "PROXY headers injected"},
    {"proxy_headers_resent", "PROXY headers sent again"},
    {"icmp_sent", "ICMP errors made"},
    {"icmp_passed_on", "ICMP errors about a flow, translated and sent on"},
    {"flows_created", "flows placed for a SYN"},
    {"flows_adopted", "flows adopted in mid-stream"},
    {"flows_established", "flows whose handshake completed"},
    {"flows_closed", "flows that ended with FINs both ways"},
    {"flows_reset", "flows that ended with an RST"},
    {"flows_expired", "flows that ended by idle time, in silence"},
    {"flows_recycled_embryonic", "unfinished handshakes displaced by newer ones"},
    {"flows_recycled_closing", "closed flows displaced before their timer ended"},
    {"flows_cut_down", "flows that were reset because their backend was lost"},
    {"flows_cut_idle", "flows that were reset because their idle time was up"},
    {"flows_cut_proxy", "flows that were reset because the backend did not take their PROXY header"},
    {"flows_cut_limit", "flows that were reset because their source was over a limit when the handshake ended"},
    {"flows_told", "flows that ended with our 421 where no message was under way, as their backend leaves"},
    {"flows_stateless", "packets forwarded without a flow entry"},
    {"flows_moved_by_collision", "flows placed elsewhere because of a collision at the backend"},
    {"flows_moved_router", "flows whose replies follow a router to another MAC address"},
    {"flows_resumed", "flows of another node that were taken over as it had told of them"},
    {"replies_held", "packets of backends that waited for a peer to tell of their flow"},
    {"replies_passed", "mail servers' answers to SYNs of no flow here, passed on to the other nodes"},
    {"replies_taken", "those of other nodes that a connection here has waited for"},
    {"segments_not_believed",
     "segments with numbers that their receiver would not take for real: forwarded, but their flow stays as it was"},
    {"rss_misplaced",
     "segments that a card which is to steer brought to another worker than their flow's; handed over"},
    {"flows_embryonic_now", "flows in handshake", true},
    {"flows_established_now", "established flows", true},
    {"flows_closing_now", "flows closing or closed, until their timer ends", true},
    {"flow_capacity", "flows the table can hold", true},
    {"syn_proxy_now", "1 while SYNs of services with syn_proxy = \"auto\" are answered in the backends' place", true},
    {"sheds_syns_now", "1 while a worker is behind with its packets, and drops some SYNs so that open sessions keep up",
     true},
    {"loops", "poll iterations of the worker"},
    {"loops_idle", "poll iterations that found nothing to do"},
    {"busy_cycles", "TSC cycles in poll iterations that did something"},
    {"slow_path", "segments that took the slow path: they begin or end a session, or need more than it is fast at"},
    {"sampled_packets", "packets in the poll iterations whose stages were timed"},
    {"stage_poll_control_cycles", "TSC cycles taking up control's commands, in timed iterations"},
    {"stage_receive_cycles", "TSC cycles in the drivers' receive calls, in timed iterations"},
    {"stage_parse_cycles", "TSC cycles taking packets apart, in timed iterations"},
    {"stage_look_up_flows_cycles",
     "TSC cycles finding the flows of a burst's first packets (the others' while these are translated), in timed "
     "iterations"},
    {"stage_place_new_flows_cycles", "TSC cycles finding and placing flows on the slow path, in timed iterations"},
    {"stage_translate_cycles", "TSC cycles tracking and rewriting, in timed iterations"},
    {"stage_transmit_cycles", "TSC cycles in the drivers' transmit calls, in timed iterations"},
    {"stage_expire_some_cycles", "TSC cycles expiring flows, in timed iterations"},
    {"commands_applied", "commands from control applied"},
    {"commands_rejected", "commands from control refused"},
    {"events_lost", "events that found their ring full"},
    {"tells_lost", "changes of flows that peers were not told of, as too many came at once"},
    {"session_records", "records of sessions that ended or were refused, handed to control"},
    {"session_records_lost", "records that found no control, or more waiting than there is room for"},
    {"session_records_held_back", "refused or unfinished sessions that left no record, as too many did at once"},
    {"tls_hellos_lost", "ClientHellos that found no control, or more waiting than there is room for"},
}};

/// Per worker and backend.
struct alignas(64) BackendCounters {
  uint64_t flows_created;
  uint64_t flows_now;    // gauge: not yet closed
  uint64_t packets_in;   // client to backend
  uint64_t bytes_in;     // IP length
  uint64_t packets_out;  // backend to client
  uint64_t bytes_out;
  uint64_t flows_established;
  uint64_t last_new_flow_ms;  // gauge: CLOCK_MONOTONIC of the newest flow
};

/// Per worker and service.
struct alignas(64) ServiceCounters {
  uint64_t flows_created;
  uint64_t flows_now;  // gauge
  uint64_t packets_in;
  uint64_t bytes_in;
  uint64_t packets_out;
  uint64_t bytes_out;
  uint64_t flows_established;
  uint64_t flows_refused;  // new flows that found no backend
};

static_assert(sizeof(BackendCounters) == 64 && sizeof(ServiceCounters) == 64);

/// Reads a counter that another thread or process writes. Pairs with the worker's plain store:
/// torn reads are impossible for aligned 64-bit words, staleness is harmless.
inline uint64_t read_counter(const uint64_t& counter) {
  return __atomic_load_n(&counter, __ATOMIC_RELAXED);
}

}  // namespace sluice::channel
