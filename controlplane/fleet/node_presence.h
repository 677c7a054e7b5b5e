// SPDX-License-Identifier: Apache-2.0
//
// A key that is there for as long as this process is: under a lease that is kept, with a text that is put again when it
// is another. While etcd is away it goes on to try; what comes of it is seen by who lists the keys.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "config/model.h"

namespace sluice::control {

class NodePresence {
 public:
  using Text = std::function<std::string()>;

  static constexpr std::chrono::seconds kTtl{10};
  static constexpr std::chrono::seconds kInterval{2};  // between two looks at the text, and after a failure

  /// Begins at once.
  NodePresence(boost::asio::io_context& io, const config::Etcd& etcd, std::string key, Text text);
  /// The key stays until its lease is over.
  ~NodePresence();
  NodePresence(const NodePresence&) = delete;
  NodePresence& operator=(const NodePresence&) = delete;

 private:
  class Loop;
  std::shared_ptr<Loop> loop_;
};

}  // namespace sluice::control
