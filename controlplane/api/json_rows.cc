// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/json_rows.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace sluice::control {

using nlohmann::json;

namespace {

constexpr std::string_view kEnd = "\n}\n";
constexpr size_t kSpare = 4;  // a quarter more

}  // namespace

JsonRows::JsonRows(const json& head) : text_(std::make_shared<std::string>(ApiResponse::json(head).body)) {
  text_->resize(text_->size() - kEnd.size());
}

void JsonRows::array(std::string_view name, size_t count, std::function<json(size_t)> row) {
  steps_.add(1, [text = text_, name = std::string(name)](size_t) { *text += fmt::format(",\n  \"{}\": [", name); });
  steps_.add(count, [text = text_, count, row = std::move(row)](size_t i) {
    const std::string made = row(i).dump(-1, ' ', false, json::error_handler_t::replace);
    // Room for them all, by the first of them: to move what is there for want of it would take long.
    if (i == 0) text->reserve(text->size() + count * (made.size() + made.size() / kSpare));
    *text += i == 0 ? "\n    " : ",\n    ";
    *text += made;
  });
  steps_.add(1, [text = text_, count](size_t) { *text += count == 0 ? "]" : "\n  ]"; });
}

LongAnswer JsonRows::take() && {
  return {std::move(steps_), [text = text_] {
            ApiResponse out;
            out.body = std::move(*text) + std::string(kEnd);
            return out;
          }};
}

}  // namespace sluice::control
