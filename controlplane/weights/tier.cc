// SPDX-License-Identifier: Apache-2.0
#include "controlplane/weights/tier.h"

#include <fmt/format.h>

#include <utility>

namespace sluice::control {

std::optional<std::string> TierChoice::update(std::optional<uint32_t> lowest, bool active_is_out,
                                              std::chrono::milliseconds hold, Time now) {
  due_.reset();
  if (!lowest || lowest == active_) {
    back_.reset();
    return std::nullopt;
  }
  if (active_ && !active_is_out) {
    if (back_ != lowest) back_since_ = now;
    back_ = lowest;
    if (now - back_since_ < hold) {
      due_ = back_since_ + hold;
      return std::nullopt;
    }
  }
  back_.reset();
  const auto before = std::exchange(active_, lowest);
  if (!before) return std::nullopt;
  return active_is_out ? fmt::format("tier {} takes the traffic, as tier {} is out", *active_, *before)
                       : fmt::format("tier {} takes the traffic again", *active_);
}

}  // namespace sluice::control
