// SPDX-License-Identifier: Apache-2.0
#include "perf/lib/flow_kinds.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

namespace sluice::perf {
namespace {

constexpr uint32_t kClientFirst = 1000, kServerFirst = 5000;

struct Kind {
  std::string_view name;
  FlowKind kind;
};

constexpr std::array kKinds{
    Kind{"vlan", FlowKind::kVlan},       Kind{"proxy", FlowKind::kProxy}, Kind{"syn-cookie", FlowKind::kSpliced},
    Kind{"fullnat", FlowKind::kFullnat}, Kind{"dsr", FlowKind::kDsr},     Kind{"ipip", FlowKind::kIpip},
    Kind{"gue", FlowKind::kGue},
};

/// Established flows of one kind, with what both ends of each know.
class Conversations {
 public:
  Conversations(FlowKind kind, const FlowKindsOptions& options)
      : rig_(rig_options(kind, options)), kind_(kind), flows_(options.flows) {
    for (uint32_t n = 0; n < options.flows; n++) establish(n);
    if (!sees_both_ways()) client_next_ = kClientFirst + 3, heard_ = 3;
  }

  /// Cycles per packet of a block. `halves`: 2, or 1 for the clients' alone.
  double block(FlowChooser& chooser, uint32_t iterations, uint32_t halves) {
    const uint64_t before = rig_.counter(channel::Counter::kForwarded);
    uint64_t cycles = 0;
    for (uint32_t done = 0; done < iterations; done++) {
      for (uint32_t i = 0; i < WorkerRig::kBurst; i++) {
        const uint32_t up = chooser.next(), down = chooser.next();
        client_sends(up, kTcpAck, client_next_, heard_);
        if (halves == 2) backend_sends(down, kTcpAck, 1);
      }
      cycles += rig_.poll();
      rig_.clear();
    }
    const uint64_t packets = uint64_t{halves} * iterations * WorkerRig::kBurst;
    if (rig_.counter(channel::Counter::kForwarded) - before != packets) {
      fprintf(stderr, "error: packets were not forwarded, the figures mean nothing\n");
      exit(1);
    }
    return static_cast<double>(cycles) / static_cast<double>(packets);
  }

 private:
  /// What is not the same for all flows of a kind.
  struct Known {
    uint32_t promised = kServerFirst;  // the server's first number, as the client knows it
    Endpoint client_at_backend;
  };

  static RigOptions rig_options(FlowKind kind, const FlowKindsOptions& options) {
    RigOptions out;
    out.kind = kind;
    out.frame_bytes = options.frame_bytes;
    out.v6 = options.v6;
    out.flow_capacity = std::max(2 * options.flows, 1U << 16);
    if (kind == FlowKind::kSpliced) out.syn_proxy = channel::SynProxy::kAlways;
    return out;
  }

  void client_sends(uint32_t n, uint8_t flags, uint32_t sequence, uint32_t beyond_first) {
    rig_.client_sends(n, flags, sequence, (flags & kTcpAck) != 0 ? flows_[n].promised + beyond_first : 0);
  }
  void backend_sends(uint32_t n, uint8_t flags, uint32_t beyond_first) {
    const uint32_t header = kind_ == FlowKind::kProxy && flags == kTcpAck ? rig_.proxy_header_bytes() : 0;
    rig_.backend_sends_to(n, flows_[n].client_at_backend, flags, kServerFirst + beyond_first,
                          kClientFirst + 1 + header);
  }

  /// Lets the worker have what was sent. Returns the ends and numbers of what it sent towards `port`.
  WorkerRig::Sent step(bool to_backend) {
    rig_.poll();
    const WorkerRig::Sent sent = rig_.take_sent(to_backend);
    rig_.clear();
    return sent;
  }

  void establish(uint32_t n) {
    Known& known = flows_[n];
    client_sends(n, kTcpSyn, kClientFirst, 0);
    if (kind_ == FlowKind::kSpliced) {
      known.promised = step(false).sequence;
      client_sends(n, kTcpAck, kClientFirst + 1, 1);
    }
    known.client_at_backend = step(true).source;
    if (!sees_both_ways()) {
      // Long-lived once the client has heard something, said something, and heard more.
      for (uint32_t heard = 1; heard <= 3; heard++) {
        client_sends(n, kTcpAck, kClientFirst + heard, heard);
        step(true);
      }
      return;
    }
    backend_sends(n, kTcpSyn | kTcpAck, 0);
    step(false);
    client_sends(n, kTcpAck, kClientFirst + 1, 1);
    step(true);
    backend_sends(n, kTcpAck, 1);  // acknowledges a PROXY header
    step(false);
  }

 public:
  bool sees_both_ways() const { return kind_ < FlowKind::kDsr; }

 private:
  WorkerRig rig_;
  FlowKind kind_;
  std::vector<Known> flows_;
  uint32_t client_next_ = kClientFirst + 1;
  uint32_t heard_ = 1;  // acknowledged by the client
};

}  // namespace

std::vector<std::string> flow_kinds() {
  std::vector<std::string> out(kKinds.size());
  std::ranges::transform(kKinds, out.begin(), [](const Kind& kind) { return std::string(kind.name); });
  return out;
}

void measure_flow_kinds(const FlowKindsOptions& options, const std::function<void(const FlowKindFigures&)>& tell) {
  Conversations plain(FlowKind::kPlain, options);
  FlowChooser chooser(options.flows, options.zipf, 7);
  for (const Kind& each : kKinds) {
    if (!options.only.empty() && options.only != each.name) continue;
    Conversations special(each.kind, options);
    const uint32_t halves = special.sees_both_ways() ? 2 : 1;
    std::vector<double> before, cycles, ratio;
    for (uint32_t block = 0; block < options.blocks; block++) {
      before.push_back(plain.block(chooser, options.iterations, halves));
      cycles.push_back(special.block(chooser, options.iterations, halves));
      ratio.push_back(cycles.back() / before.back());
    }
    tell({each.name, quartiles(before), quartiles(cycles), quartiles(ratio)});
  }
}

}  // namespace sluice::perf
