// SPDX-License-Identifier: Apache-2.0
//
// Where a connection would go, by the tables as the data plane has them, and why not elsewhere: the worker's own way of
// placing (dataplane/contract/placement.h), step by step. Pure. What only a worker knows (its turn, its draw, a
// collision at a backend) is said in words.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/model/model.h"
#include "dataplane/contract/address.h"

namespace sluice::control {

struct Explanation {
  /// An entry of the table that was looked at.
  struct Step {
    uint32_t entry = 0;
    std::string backend;  // its label; "" for an entry that refuses
    bool is_taken = false;
    std::string why;
  };
  struct Other {
    std::string backend;
    std::string state;
    double effective_weight = 0;
    double share = 0;  // of the table
    std::string why_not;
  };

  std::string service;
  std::string rule;     // how the first entry is found
  std::string backend;  // where the connection would go; "" = it is refused
  std::string why;      // of that, in a sentence
  uint32_t table_entries = 0;
  std::vector<Step> steps;  // entries in a row that lead to the same backend are one step
  std::vector<Other> others;
  std::vector<std::string> notes;
};

/// A member's open flows; nothing while the data plane does not say.
using FlowsOf = std::function<std::optional<uint64_t>(const Member&)>;

/// A new connection from `client` to `service`, one of `model`'s.
Explanation explain(const Model& model, const ServiceState& service, const Endpoint& client, const FlowsOf& flows);

/// "192.0.2.7:40000", "[2001:db8::1]:40000". Nothing for text of another form.
std::optional<Endpoint> endpoint_from(const std::string& text);

}  // namespace sluice::control
