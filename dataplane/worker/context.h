// SPDX-License-Identifier: Apache-2.0
//
// What parts of a worker are built from. Each keeps references to what it needs of it, and to nothing else.
#pragma once

#include "dataplane/flow/flow_table.h"
#include "dataplane/worker/counters.h"
#include "dataplane/worker/egress.h"
#include "dataplane/worker/forwarding_state.h"
#include "dataplane/worker/poll_clock.h"
#include "dataplane/worker/setup.h"

namespace sluice {

struct Context {
  const WorkerSetup& setup;
  const PollClock& clock;
  Counters& counters;
  FlowTable& flows;
  ForwardingState& state;
  Egress& egress;
};

}  // namespace sluice
