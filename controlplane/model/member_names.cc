// SPDX-License-Identifier: Apache-2.0
#include "controlplane/model/member.h"

namespace sluice::control {

std::string_view name_of(Admin admin) {
  switch (admin) {
    case Admin::kEnabled:
      return "enabled";
    case Admin::kDraining:
      return "draining";
    case Admin::kDisabled:
      return "disabled";
  }
  return "unknown";
}

std::string_view name_of(Health health) {
  switch (health) {
    case Health::kUnknown:
      return "unknown";
    case Health::kUp:
      return "up";
    case Health::kSoft:
      return "soft";
    case Health::kDown:
      return "down";
  }
  return "unknown";
}

}  // namespace sluice::control
