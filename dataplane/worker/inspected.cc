// SPDX-License-Identifier: Apache-2.0
//
// What the worker does with a burst while there are inspections: all take the slow path, one by one, and the inspector
// is shown those that an inspection wants.
#include "dataplane/worker/worker.h"

namespace sluice {

void Worker::process_inspected() noexcept {
  inspector_.expire();
  for (uint32_t i = 0; i < burst_.count; i++) look_up_flow(i);
  for (uint32_t i = 0; i < burst_.count; i++) {
    slow_path_.confirm_flow(burst_, i);
    const uint8_t inspections = inspector_.wanting(burst_, i);
    if (inspections != 0) {
      inspect(i, inspections);
      continue;
    }
    slow_path_.place_if_new(burst_, i);
    slow_path_.translate(burst_, i);
  }
  burst_.clear();
  for (uint32_t i = 0; i < exceptions_.waiting(); i++) inspect_exception(exceptions_.frame(i));
  exceptions_.clear();
}

void Worker::inspect(uint32_t i, uint8_t inspections) noexcept {
  Inspector::Notes notes;
  inspector_.begin(notes, inspections, burst_, i);
  slow_path_.place_if_new(burst_, i);
  const uint8_t theirs = inspector_.note_flow(notes, burst_, i);
  slow_path_.translate(burst_, i);
  inspector_.end(notes, theirs);
}

void Worker::inspect_exception(ExceptionFrame& frame) noexcept {
  const uint8_t inspections = inspector_.wanting(frame);
  if (inspections == 0) return exceptions_.pass(frame);
  Inspector::Notes notes;
  inspector_.begin(notes, inspections, frame.port, *frame.mbuf);
  exceptions_.pass(frame);
  inspector_.end(notes, inspections);
}

void Worker::punt_or_drop(uint32_t port, rte_mbuf* mbuf, ParseVerdict verdict) noexcept {
  const uint8_t inspections = inspector_.any() ? inspector_.wanting(*mbuf) : uint8_t{0};
  if (inspections == 0) return exceptions_.punt_or_drop(port, mbuf, verdict);
  Inspector::Notes notes;
  inspector_.begin(notes, inspections, port, *mbuf);
  exceptions_.punt_or_drop(port, mbuf, verdict);
  inspector_.end(notes, inspections);
}

void Worker::drop_at_once(uint32_t port, rte_mbuf* mbuf, Counter reason) noexcept {
  const uint8_t inspections = inspector_.any() ? inspector_.wanting(*mbuf) : uint8_t{0};
  if (inspections == 0) return egress_.drop(mbuf, reason);
  Inspector::Notes notes;
  inspector_.begin(notes, inspections, port, *mbuf);
  egress_.drop(mbuf, reason);
  inspector_.end(notes, inspections);
}

}  // namespace sluice
