// SPDX-License-Identifier: Apache-2.0
//
// An answer whose arrays are long: a JSON object whose rows are made and written one by one, each on a line of its own.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "controlplane/http/long_answer.h"

namespace sluice::control {

class JsonRows {
 public:
  /// `head`: the object without its arrays, of at least one member.
  explicit JsonRows(const nlohmann::json& head);
  /// An array more: `row(i)` for each below `count`.
  void array(std::string_view name, size_t count, std::function<nlohmann::json(size_t)> row);

  LongAnswer take() &&;

 private:
  std::shared_ptr<std::string> text_;  // without what closes the object
  Steps steps_;
};

}  // namespace sluice::control
