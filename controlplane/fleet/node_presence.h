// SPDX-License-Identifier: Apache-2.0
//
// A node's key, PREFIX/nodes/NODE, which is there for as long as this process is: under a lease that is kept, with a
// text that is put again every few seconds. Where another process has that name (name_claim.h), it is left to that one,
// and the key PREFIX/rivals/NODE/INSTANCE tells it so. While etcd is away, or takes nothing, it goes on to try; the
// lease is kept meanwhile where that is possible, so that the key stays.
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
  struct Hooks {
    /// A node report of this process.
    std::function<std::string()> text;
    /// Told how the name stands, when that is another.
    std::function<void(const NameState&)> on_name;
    /// Told why etcd, which answers, does not take what is written; or "": it did.
    std::function<void(const std::string&)> on_write;
  };

  static constexpr std::chrono::seconds kTtl{10};
  static constexpr std::chrono::seconds kInterval{2};  // between two looks, and after a failure

  /// Begins at once. `instance`: what this process is called.
  NodePresence(boost::asio::io_context& io, const config::Etcd& etcd, const std::string& node,
               const std::string& instance, Hooks hooks);
  /// The key stays until its lease is over.
  ~NodePresence();
  NodePresence(const NodePresence&) = delete;
  NodePresence& operator=(const NodePresence&) = delete;

 private:
  class Loop;
  std::shared_ptr<Loop> loop_;
};

}  // namespace sluice::control
