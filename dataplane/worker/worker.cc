// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/worker.h"

namespace sluice {

Worker::Worker(const WorkerSetup& setup, uint64_t hash_seed, uint64_t boot_id, uint64_t now_ms) noexcept
    : setup_(setup),
      counters_(*setup.stats),
      clock_(setup.timers, now_ms),
      flows_(setup.flow_memory, setup.flow_capacity, hash_seed, boot_id, {setup.workers, setup.classes}),
      state_(flows_.services(), flows_.backends(), flows_.locals(), setup.ports, setup.timers.established_ms,
             *setup.stats),
      observer_(*setup.stats, flows_.notes()),
      handover_(setup_, clock_, counters_),
      egress_(setup_, counters_, handover_),
      timer_(counters_),
      random_(hash_seed),
      stateless_(context_, placement_, icmp_errors_, one_way_, hash_seed),
      fragment_relay_(context_, handover_, finder_, one_way_, punt_, hash_seed) {
  counters_.set_gauge(Counter::kFlowCapacity, setup.flow_capacity);
  lifecycle_.count_adopted();
  syn_proxy_.set_room(lifecycle_.most_handshakes());
  syn_proxy_.take_up();
}

bool Worker::poll(uint64_t now_ms) noexcept {
  clock_.set(now_ms);
  resets_.begin_poll();
  proxy_.begin_poll();
  syn_proxy_.begin_poll();
  shedder_.begin_poll();
  timer_.begin_poll();
  bool busy = commands_.poll();
  if (busy && state_.take_backends_lost()) expiry_.hurry();
  if (busy) limits_.follow();
  busy |= limits_.sweep();
  timer_.end_stage(Counter::kStagePollControl);
  busy |= take_up_held();
  busy |= take_passed();
  for (uint32_t port = 0; port < setup_.ports; port++) {
    busy |= receive(port);
    if (is_burst_full()) process();
  }
  if (setup_.workers != 1) busy |= receive_handed();
  process();
  busy |= egress_.send_for_main();
  for (FlowIndex vain; (vain = proxy_.resend()) != kNoFlow;) lifecycle_.cut(vain, Counter::kFlowsCutProxy);
  for (FlowIndex vain; (vain = syn_proxy_.ask_again()) != kNoFlow;)
    proven_.ask_another(vain, Counter::kDropBackendDown);
  busy |= responder_.sweep();
  busy |= answered_.sweep();
  busy |= expiry_.sweep();
  busy |= router_moves_.sweep();
  timer_.end_stage(Counter::kStageExpireSome);
  for (uint32_t port = 0; port < setup_.ports; port++) egress_.transmit(port);
  if (setup_.workers != 1) handover_.flush();
  flows_.end_burst();
  timer_.end_stage(Counter::kStageTransmit);
  timer_.end_poll(busy);
  return busy;
}

}  // namespace sluice
