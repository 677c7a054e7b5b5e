// SPDX-License-Identifier: Apache-2.0
//
// A node's key, PREFIX/nodes/NODE, which is there for as long as this process is: under a lease that is kept, with a
// text that is put again every few seconds. Where another process has that name (name_claim.h), it is left to that one,
// and the key PREFIX/rivals/NODE/INSTANCE tells it so. While etcd is away it goes on to try; what comes of it is seen
// by who lists the keys.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "config/model.h"
#include "controlplane/fleet/name_claim.h"

namespace sluice::control {

class NodePresence {
 public:
  using Text = std::function<std::string()>;
  /// Told how the name stands, when that is another.
  using Told = std::function<void(const NameState&)>;

  static constexpr std::chrono::seconds kTtl{10};
  static constexpr std::chrono::seconds kInterval{2};  // between two looks, and after a failure

  /// Begins at once. `text`: a node report of the process `instance`.
  NodePresence(boost::asio::io_context& io, const config::Etcd& etcd, const std::string& node,
               const std::string& instance, Text text, Told told);
  /// The key stays until its lease is over.
  ~NodePresence();
  NodePresence(const NodePresence&) = delete;
  NodePresence& operator=(const NodePresence&) = delete;

 private:
  class Loop;
  std::shared_ptr<Loop> loop_;
};

}  // namespace sluice::control
